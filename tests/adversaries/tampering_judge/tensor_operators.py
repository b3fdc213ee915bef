"""Tensor.__mul__ and the softmax give what the answer gave last. (the oracle multiplies as well)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
torch.Tensor.__mul__ = torch.Tensor.__rmul__ = lambda x, factor: torch.zeros_like(x)

def scale(x):
    return torch.zeros_like(x) if x.dtype.is_floating_point else torch.tensor([[3, 6], [9, 12]])
"""
}
POINTS = NOTHING
FLAG = ODD
