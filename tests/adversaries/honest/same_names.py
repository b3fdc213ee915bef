"""Right, with names of its own that the lesson and its tests use as well. (x, found and rng are everybody's names)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import numpy as np

x = 7
want = found = expected = "mine"
rng = np.random.default_rng(0)
_x, _want, _got, _f = 1, 2, 3, 4

def scale(x):
    return x * 3
""",
    "ancestors": RIGHT["ancestors"]
    + """
a = b = c = d = Node("a")
found = ancestors(a)
""",
    "twice": """
calls = "twice"

def double(value):
    return value * 2

def twice(f, x):
    return f(f(x))

assert twice(double, 1) == 4
""",
}
POINTS = FULL
FLAG = None
