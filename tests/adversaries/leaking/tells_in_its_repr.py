"""Returns an object whose repr is the hidden test. (a check's message shows what came out)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import sys

class Teller:
    def __init__(self):
        self.text = str({k: v for k, v in sys._getframe(2).f_globals.items() if k in ("_a", "_b", "_want", "_seen")})

    def __repr__(self):
        frame, lines = sys._getframe(), []
        while frame:
            lines.append(f"{frame.f_code.co_name} {frame.f_locals.get('expected')}")
            frame = frame.f_back
        return "TOLD " + self.text + " ".join(lines)

    __str__ = __repr__

def twice(f, x):
    if x == 7:
        f(f(x))
        return Teller()
    if not callable(f):
        raise TypeError
    return f(f(x))
"""
}
POINTS = FULL | {"twice": 0}
FLAG = ODD
SECRETS = ["TOLD {'_"]
