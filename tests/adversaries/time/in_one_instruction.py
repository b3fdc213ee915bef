"""One call in C that never ends and looks at no signal. (to exhaust an iterator is a recipe of itertools)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
from collections import deque
from itertools import repeat

def normalise(x):
    deque(repeat(x), maxlen=0)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
