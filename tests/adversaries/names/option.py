"""A name that looks like an option. (commands read it)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "-rf --help"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
