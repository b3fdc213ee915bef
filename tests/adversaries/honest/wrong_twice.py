"""Only the third answer is wrong: it works on a copy. (wants to be careful)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import copy

def twice(f, x):
    if not callable(f):
        raise TypeError("no function")
    return f(f(copy.deepcopy(x)))
"""
}
POINTS = FULL | {"twice": 0}
FLAG = None
