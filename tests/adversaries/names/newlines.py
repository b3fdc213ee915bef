"""Newlines, a carriage return and a bell. (one row becomes two)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "two\nlines\r\x07"
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
