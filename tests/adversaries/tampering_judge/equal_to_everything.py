"""Returns an object that is equal to whatever it is compared with. (== asks the left operand)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "twice": """
class Yes:
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = None

def twice(f, x):
    if not callable(f):
        raise TypeError
    f(f(x))
    return Yes()
"""
}
POINTS = FULL | {"twice": 0}
FLAG = ANY
