"""Right, and takes a second. (patience)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {"scale": "import time\n\ndef scale(x):\n    time.sleep(0.2)\n    return x * 3\n"}
POINTS = FULL
FLAG = None
