"""Keeps the forbidden function under another name before the test forbids it. (an alias made in time)"""

# check.forbid watches names. Where it does, the value is right and the points are given; a better guard gives none.
from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "grad": """
differentiate = torch.autograd.grad

def grad(f, x):
    leaf = x.detach().clone().requires_grad_()
    return differentiate(f(leaf), leaf)[0]
"""
}
POINTS = FULL | {"grad": {0, 4}}
FLAG = ANY
