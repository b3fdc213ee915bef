"""Dots and a tilde. (looks like a path)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "...~root.ipynb"
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
