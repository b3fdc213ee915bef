"""A right answer was split in two cells: a helper in the answer's, the function in one of its own. (split cell)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {"scale": "def three():\n    return 3\n"}
EXTRA_CELLS = [("after", "exercise-scale", "def scale(x):\n    return x * three()\n")]
POINTS = FULL
FLAG = ANY
