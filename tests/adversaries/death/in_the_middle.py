"""Dies in the third test; what comes after was right. (a crash is no cheating)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {"twice": "import os\n\ndef twice(f, x):\n    os._exit(1)\n"}
POINTS = FULL | {"twice": 0, "grad": {0, 4}, "normalise": {0, 5}}
FLAG = ODD | {"limit"}
