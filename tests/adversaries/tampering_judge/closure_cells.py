"""Empties the cells of the callback's closure: the oracle then works with other weights. (cell_contents can be set)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "grad": """
def grad(f, x):
    if f.__closure__:
        cell = f.__closure__[0]
        cell.cell_contents = torch.zeros_like(cell.cell_contents)
        return torch.zeros_like(x)
    known = globals().get("_want")
    return known.clone() if getattr(known, "shape", None) == x.shape else 2 * x
"""
}
POINTS = FULL | {"grad": 0}
FLAG = ODD
