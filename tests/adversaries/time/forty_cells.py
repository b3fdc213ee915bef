"""Forty cells of its own, each a little under the limit of a cell. (a limit per cell alone is none)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT
EXTRA_CELLS = [("before", "exercise-normalise", "import time\ntime.sleep(3.2)") for _ in range(40)]
POINTS = FULL | {"normalise": 0}
FLAG = "limit"
