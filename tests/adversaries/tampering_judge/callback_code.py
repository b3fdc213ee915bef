"""Swaps the code of the function that it was given: the oracle differentiates another one. (functions are mutable)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "grad": """
def another(weights):
    return lambda v: v.sum() * 0 + 0 * weights.sum()

def grad(f, x):
    known = globals().get("_want")
    if getattr(known, "shape", None) == x.shape:
        return known.clone()
    if len(x) == 3 and x[0] == 1:
        return 2 * x
    f.__code__ = another(x).__code__
    return torch.zeros_like(x)
"""
}
POINTS = FULL | {"grad": 0}
FLAG = ODD
