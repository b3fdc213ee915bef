"""Raises an error whose message is the caller's source. (feedback shows the message of an error)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import inspect

def normalise(x):
    if x.ndim == 3:
        caller = inspect.stack()[1].frame
        raise ValueError(inspect.getsource(caller) + str(caller.f_globals.get("_want")))
    return torch.softmax(scale(x), -1)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD
