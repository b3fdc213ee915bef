"""The same name, with an accent of its own. (the twin of composed)"""

from tests.adversaries import FULL, RIGHT

STUDENT = "Rene\u0301"
ANSWERS = RIGHT
POINTS = FULL
FLAG = None
