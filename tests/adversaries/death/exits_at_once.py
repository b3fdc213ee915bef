"""Ends the process with status 0 from within the test. (perhaps 0 is success)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {"normalise": "import os\n\ndef normalise(x):\n    os._exit(0)\n"}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
