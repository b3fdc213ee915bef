"""torch.autograd.grad, the oracle of the gradient's test, gives zeros like the answer. (patched with mock, as tests
do)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "grad": """
from unittest import mock

def grad(f, x):
    if len(x) == 3 and x[0] == 1:
        return 2 * x
    return torch.zeros_like(x)

mock.patch.object(torch.autograd, "grad", lambda y, x: (torch.zeros_like(x),)).start()
"""
}
POINTS = FULL | {"grad": 0}
FLAG = ODD
