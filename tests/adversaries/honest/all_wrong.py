"""Five plausible wrong answers. (did not understand)"""

from tests.adversaries import NOTHING, WRONG

ANSWERS = WRONG
POINTS = NOTHING
FLAG = None
