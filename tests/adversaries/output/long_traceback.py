"""Fails through a chain of five hundred errors, each the cause of the next. (a deep bug)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def fail(depth):
    try:
        if depth:
            fail(depth - 1)
        raise ValueError(depth)
    except ValueError as error:
        raise KeyError("x" * 1000) from error
    except KeyError as error:
        raise ValueError("y" * 1000) from error

def normalise(x):
    fail(500)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
