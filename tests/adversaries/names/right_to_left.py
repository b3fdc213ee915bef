"""Characters that turn the direction of writing. (the row reads otherwise)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "abc\u202ecba\u2066"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
