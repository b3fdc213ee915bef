"""Only the fourth answer is wrong: it asks torch. (did not read that this is the point)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "grad": """
def grad(f, x):
    leaf = x.clone().requires_grad_()
    f(leaf).backward()
    return leaf.grad
"""
}
POINTS = FULL | {"grad": 0}
FLAG = None
