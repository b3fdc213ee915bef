"""Recurses without end under a recursion limit of a billion. (the limit was in the way)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import sys

def normalise(x):
    sys.setrecursionlimit(10**9)
    def down(n, kept):
        return down(n + 1, (kept, [n] * 1000))
    return down(0, ())
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
