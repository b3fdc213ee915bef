"""Calls the test's own oracle, which it finds among the names of its caller. (why write what is there?)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "grad": """
import sys
from torch.autograd.functional import jacobian

borrowed = torch.autograd.grad

def grad(f, x):
    names = sys._getframe(1).f_globals
    oracle = names.get("_oracle")
    if oracle is None:
        return 2 * x
    refuse, torch.autograd.grad = torch.autograd.grad, borrowed
    try:
        return oracle(f, x)
    finally:
        torch.autograd.grad = refuse
"""
}
POINTS = FULL | {"grad": 0}
FLAG = ODD
