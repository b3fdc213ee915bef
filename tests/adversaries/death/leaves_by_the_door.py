"""Leaves with exit, quit and sys.exit in cells of its own and in an answer. (closing the notebook)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {"normalise": "import sys\n\ndef normalise(x):\n    sys.exit(0)\n"}
EXTRA_CELLS = [("after", "exercise-scale", "raise SystemExit"), ("after", "test-grad", "import sys\nsys.exit()")]
POINTS = FULL | {"normalise": 0}
FLAG = ANY
