"""Letters of many scripts and a family of emoji. (a name)"""

from tests.adversaries import FULL, RIGHT

STUDENT = "Łukasz 李 😀 👩\u200d👩\u200d👧"
ANSWERS = RIGHT
POINTS = FULL
FLAG = None
