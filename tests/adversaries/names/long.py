"""As long as a file system lets a name be. (a title)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "a" * 200
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
