"""As long as a file system lets a name be. (a title)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "a" * 200
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
