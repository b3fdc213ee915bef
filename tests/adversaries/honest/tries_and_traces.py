"""Right, with try and except, traceback.print_exc and an error of its own that it catches. (how one debugs)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import sys
import traceback

class NotAFunction(TypeError):
    pass

def twice(f, x):
    try:
        y = f(x)
        return f(y)
    except TypeError as error:
        if callable(f):
            traceback.print_exc()
        raise NotAFunction(str(error)) from error
    finally:
        sys.stdout.flush()

try:
    twice(1, 2)
except NotAFunction:
    traceback.print_exc()
"""
}
POINTS = FULL
FLAG = None
