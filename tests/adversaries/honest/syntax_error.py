"""One answer does not compile, one cell is empty. (ran out of time)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {"ancestors": "def ancestors(node)\n    return []", "twice": ""}
POINTS = FULL | {"ancestors": 0, "twice": 0}
FLAG = None
