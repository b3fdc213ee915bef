"""check.forbid and check.unchanged become empty contexts, and the forbidden function is called. (the value is right)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "grad": """
from contextlib import nullcontext

check.forbid = check.unchanged = lambda *args, **kwargs: nullcontext()

def grad(f, x):
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]
"""
}
POINTS = FULL | {"grad": 0}
FLAG = ODD
