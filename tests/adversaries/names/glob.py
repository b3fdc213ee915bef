"""Wildcards and a pattern. (folders are searched by them)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "[a-z]*?{b,c}"
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
