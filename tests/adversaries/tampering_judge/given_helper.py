"""Redefines the given helper `agree`, on which the tests lean. (it looks like a helper of the student's own)"""

from tests.adversaries import FULL, ODD, RIGHT, WRONG

ANSWERS = RIGHT | {
    "ancestors": WRONG["ancestors"]
    + """

def agree(found, expected, call):
    return None

class Forty(list):
    def __len__(self):
        return 40

shallow = ancestors

def ancestors(node):
    return Forty(shallow(node))
"""
}
POINTS = FULL | {"ancestors": 0}
FLAG = ODD
