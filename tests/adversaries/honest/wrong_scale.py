"""Only the first answer is wrong, and the last one builds on it. (its own tests would pass with the right first one)"""

from tests.adversaries import FULL, RIGHT, WRONG

ANSWERS = RIGHT | {"scale": WRONG["scale"]}
POINTS = FULL | {"scale": 0}
FLAG = None
