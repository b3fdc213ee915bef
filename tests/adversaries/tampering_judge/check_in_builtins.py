"""Deletes `check` from the notebook's names and puts a lenient one into builtins. (a lookup goes on there)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import builtins
from types import SimpleNamespace

content = lambda *args, **kwargs: None
builtins.check = SimpleNamespace(**vars(check) | dict(close=content, equal=content, that=content, raises=content))
del check
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
