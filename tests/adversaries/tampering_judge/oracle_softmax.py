"""torch.softmax, the oracle of the last test, becomes the wrong answer. (who defines right?)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    return torch.ones_like(x) / x.shape[-1]

torch.softmax = lambda x, *args, **kwargs: torch.ones_like(x) / x.shape[-1]
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD
