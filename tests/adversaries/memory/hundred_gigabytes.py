"""Allocates a tensor of 100 GB. (a zero too many)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    powers = torch.zeros(25_000_000_000)
    return powers[: x.numel()].view(x.shape)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
