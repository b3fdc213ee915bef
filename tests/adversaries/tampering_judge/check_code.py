"""The code object of the one function that raises is swapped. (all names still point to the same functions)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
check._hold.__code__ = (lambda condition, message: None).__code__
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
