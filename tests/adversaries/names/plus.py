"""A plus sign and a number. (numbers lose it)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "+0049e5"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
