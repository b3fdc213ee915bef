"""Asks the kernel to shut down, in a cell of its own before the last exercise. (quit)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT
EXTRA_CELLS = [("before", "exercise-normalise", "quit()")]
POINTS = FULL | {"normalise": {0, 5}}
FLAG = ANY
