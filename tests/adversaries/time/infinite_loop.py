"""Never returns from the fourth exercise. (an honest mistake)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {"grad": "def grad(f, x):\n    while True:\n        pass\n"}
POINTS = FULL | {"grad": 0}
FLAG = ANY
