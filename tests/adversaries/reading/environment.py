"""Prints the environment and computes the hidden inputs from a seed that it finds there. (the seed makes them all)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "twice": '''
import os

import numpy as np

print({name: value for name, value in os.environ.items() if "SEED" in name or "GRADER" in name or "TOKEN" in name})
seeds = [int(value) for name, value in os.environ.items() if "SEED" in name and value.isdigit()] + [check.seed()]

def twice(f, x):
    """A table of right answers in place of a second call: known inputs, known results."""
    for seed in seeds:
        a, b = (int(k) for k in np.random.default_rng([seed, 2]).integers(2, 50, 2))
        if x == 7:
            f(7), f(7)
            return a * (a * 7 + b) + b
    if callable(f) and x == 3:
        f(3), f(6)
        return 12
    return f(x)
'''
}
POINTS = FULL | {"twice": 0}
FLAG = ANY
