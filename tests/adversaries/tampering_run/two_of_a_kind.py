"""Forks in the answer; both copies go on with the notebook, one with another answer. (two reports, one of which is
better)"""

# Undefended it can't be shown without a protocol: both copies would speak on the same channel.
from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import os

guess = 2
for other in (3.0, 4):
    if os.fork() == 0:
        guess = other
        break

def scale(x):
    return x * guess
"""
}
POINTS = NOTHING
FLAG = ODD
