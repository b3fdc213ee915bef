"""Raises an error that makes its message only when it is shown. (by then the judge is on the stack)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import sys

class Lazy(Exception):
    def __str__(self):
        frame, told = sys._getframe(), []
        while frame:
            told += [f"{name}={value!r}"[:2000] for name, value in frame.f_locals.items()]
            frame = frame.f_back
        return "\\n".join(told)

    __repr__ = __str__

def normalise(x):
    raise Lazy
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD
