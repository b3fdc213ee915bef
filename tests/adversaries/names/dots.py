"""Dots and a tilde. (looks like a path)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "...~root.ipynb"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
