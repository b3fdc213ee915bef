"""The first answer is missing, and the last one builds on it. (came back to it too late)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = {exercise: answer for exercise, answer in RIGHT.items() if exercise != "scale"}
POINTS = FULL | {"scale": 0}
FLAG = None
