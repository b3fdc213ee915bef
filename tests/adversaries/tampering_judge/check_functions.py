"""The functions of `check` become ones that hold. (the module is imported in the first cell)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
check.close = check.equal = check.that = check.raises = lambda *args, **kwargs: None
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
