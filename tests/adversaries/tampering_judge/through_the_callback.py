"""Rebinds `check` in the globals of the function that the test hands over. (a test gives away its own namespace)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "twice": """
from types import SimpleNamespace

def twice(f, x):
    content = lambda *args, **kwargs: None
    names = getattr(f, "__globals__", {})
    judge = names.get("check", check)
    names["check"] = SimpleNamespace(**vars(judge) | dict(equal=content, that=content, raises=content))
    f(x)
    return 12
"""
}
POINTS = FULL | {"twice": 0}
FLAG = ODD
