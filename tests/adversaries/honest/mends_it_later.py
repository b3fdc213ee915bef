"""The first answer is wrong in its cell, and mended in the cell of the last one. (noticed too late)"""

from tests.adversaries import FULL, RIGHT, WRONG

ANSWERS = RIGHT | {
    "scale": WRONG["scale"],
    "normalise": """
def scale(x):
    return x * 3

def normalise(x):
    return torch.softmax(scale(x), -1)
""",
}
POINTS = FULL | {"scale": 0}
FLAG = None
