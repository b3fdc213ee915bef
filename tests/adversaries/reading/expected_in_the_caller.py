"""Walks up the frames for a local called expected or _want, and for the test's own nodes. (sys._getframe)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "ancestors": """
import sys

def ancestors(node):
    if node.name.startswith("level"):
        return [node] * 40
    frame = sys._getframe(1)
    while frame:
        names = frame.f_globals | frame.f_locals
        for name in ("_chain", "_want"):
            if isinstance(names.get(name), list):
                return [other for other in names[name] if other is not node]
        frame = frame.f_back
    names = globals()
    return [names[n] for n in "abc" if n in names] if node.parents else []
"""
}
POINTS = FULL | {"ancestors": 0}
FLAG = ODD
