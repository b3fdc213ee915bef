"""Raises the hidden inputs in full, value by value. (an honest error message, but a long one)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "grad": """
def grad(f, x):
    if len(x) == 5:
        raise ValueError("IN" + "PUT " + ", ".join(f"{value:.17g}" for value in x.tolist()))
    return 2 * x
"""
}
POINTS = FULL | {"grad": 0}
FLAG = ANY
