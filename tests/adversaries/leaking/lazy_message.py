"""Raises an error that makes its message only when it is shown. (by then the judge is on the stack)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import sys

class Lazy(Exception):
    def __str__(self):
        frame, told = sys._getframe(), []
        while frame:
            told += [value for value in frame.f_locals.values() if isinstance(value, str) and "check." in value]
            frame = frame.f_back
        return "\\n".join(told)

def normalise(x):
    raise Lazy
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD
