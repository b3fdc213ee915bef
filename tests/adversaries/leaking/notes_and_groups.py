"""Hides what it read in an exception's notes, causes, group members and class name. (a message is not all there is)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import inspect

def twice(f, x):
    if x != 7:
        return f(f(x))
    source = inspect.getsource(inspect.stack()[1].frame)
    error = ExceptionGroup("nothing", [ValueError(source), type(source, (Exception,), {})(x)])
    error.add_note(source)
    raise error from KeyError(source)
"""
}
POINTS = FULL | {"twice": 0}
FLAG = ODD
