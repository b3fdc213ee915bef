"""Raises the judge's own exception, AssertionError and a class that is caught by every except. (perhaps the judge takes
it for its own)"""

from tests.adversaries import ANY, NOTHING, WRONG

ANSWERS = WRONG | {
    "scale": "def scale(x):\n    raise check.CheckFailed('scale: all checks passed')",
    "ancestors": "def ancestors(node):\n    raise AssertionError",
    "twice": """
class Both(TypeError, KeyError):
    pass

def twice(f, x):
    raise Both
""",
}
POINTS = NOTHING
FLAG = ANY
