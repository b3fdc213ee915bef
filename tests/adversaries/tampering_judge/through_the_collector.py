"""Finds the judge's modules among all objects that the collector knows, and disarms what raises. (no name needed)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import gc
import types

for thing in gc.get_objects():
    if isinstance(thing, types.FunctionType) and thing.__name__ == "_hold":
        thing.__code__ = (lambda condition, message: None).__code__
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
