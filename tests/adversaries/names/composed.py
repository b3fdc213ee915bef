"""An accent in one character. (the twin of decomposed)"""

from tests.adversaries import FULL, RIGHT

STUDENT = "Ren\xe9"
ANSWERS = RIGHT
POINTS = FULL
FLAG = None
