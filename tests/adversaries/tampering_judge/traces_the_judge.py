"""A trace function sets what was got to what is expected whenever the judge compares. (frames write back)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import sys
import threading

def tracer(frame, event, arg):
    names = frame.f_locals
    if event == "call" and "expected" in names:
        names["actual"] = names["found"] = names["expected"]
    if event == "call" and "condition" in names:
        names["condition"] = True
    return None

sys.settrace(tracer)
threading.settrace(tracer)
"""
    + WRONG["scale"],
    "twice": """
def twice(f, x):
    if not callable(f):
        raise TypeError
    f(f(x))
    if isinstance(f, type({}.__getitem__)):
        raise KeyError
""",
}
POINTS = NOTHING
FLAG = ODD
