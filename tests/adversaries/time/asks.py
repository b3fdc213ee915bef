"""Asks with input() and getpass in cells and answers. (worked at home)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import getpass
import sys

def normalise(x):
    axis = int(input("which axis? ") or -1)
    return torch.softmax(scale(x), axis)
"""
}
EXTRA_CELLS = [
    ("after", "imports", 'name = input("your name? ")'),
    ("after", "exercise-scale", "import sys\nsys.stdin.readline()"),
    ("after", "exercise-twice", "import getpass\ngetpass.getpass()"),
]
POINTS = FULL | {"normalise": 0}
FLAG = ANY
