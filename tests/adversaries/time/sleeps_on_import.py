"""A cell of its own sleeps for an hour before the last exercise. (a forgotten training loop)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT
EXTRA_CELLS = [("before", "exercise-normalise", "import time\ntime.sleep(3600)")]
POINTS = FULL | {"normalise": {0, 5}}
FLAG = ANY
