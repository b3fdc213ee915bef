"""Tells bits of the hidden inputs by how long a call takes and by how it fails. (feedback shows times and messages)"""

# No search finds this; the rule is only that nothing else comes out than one line of a message.
from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import time

def twice(f, x):
    y = f(x)
    if x == 7 and callable(f):
        time.sleep((y % 10) / 100)
        raise (ValueError, KeyError, IndexError, OSError)[y % 4]
    return f(y)
"""
}
POINTS = FULL | {"twice": 0}
FLAG = ANY
