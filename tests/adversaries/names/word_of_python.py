"""A word that some program takes for nothing. (a family name, too)"""

from tests.adversaries import FULL, RIGHT

STUDENT = "None"
ANSWERS = RIGHT
POINTS = FULL
FLAG = None
