"""The reference answers. (a good student)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT
POINTS = FULL
FLAG = None
