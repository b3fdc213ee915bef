"""mock.patch.object, by which functions are forbidden, is made to patch nothing. (the judge's own tool)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "grad": """
from contextlib import nullcontext
from unittest import mock

mock.patch.object = lambda *args, **kwargs: nullcontext()
mock._patch.__enter__ = mock._patch.__exit__ = lambda self, *args: None

def grad(f, x):
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]
"""
}
POINTS = FULL | {"grad": 0}
FLAG = ODD
