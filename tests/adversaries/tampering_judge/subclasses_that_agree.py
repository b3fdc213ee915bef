"""Returns an int and a list whose subclasses compare as it suits. (isinstance is content)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "ancestors": """
class Agreeable(list):
    def __len__(self):
        return 40

    def __iter__(self):
        import sys
        frame = sys._getframe(1)
        while frame and "expected" not in frame.f_locals:
            frame = frame.f_back
        return iter(frame.f_locals["expected"] if frame else [])

    def __eq__(self, other):
        return True

def ancestors(node):
    return Agreeable()
""",
    "twice": """
class Any(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__

def twice(f, x):
    if not callable(f):
        raise TypeError
    f(f(x))
    return Any(0)
""",
}
POINTS = FULL | {"ancestors": 0, "twice": 0}
FLAG = ANY
