"""Only the last answer is wrong: it overflows. (tried small numbers only)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    powers = scale(x).exp()
    return powers / powers.sum(-1, keepdim=True)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = None
