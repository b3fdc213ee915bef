"""Keeps 64 MB more in each round of a loop. (a list that is never emptied)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
kept = []

def normalise(x):
    while True:
        kept.append(bytearray(b"x") * (64 << 20))
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
