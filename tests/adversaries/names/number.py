"""A number with zeros in front. (student numbers)"""

from tests.adversaries import FULL, RIGHT

STUDENT = "007"
ANSWERS = RIGHT
POINTS = FULL
FLAG = None
