"""Closes all descriptors, or points them to /dev/null. (no word gets out any more)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os

def normalise(x):
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(64):
        try:
            os.dup2(null, descriptor)
        except OSError:
            pass
    os.closerange(3, 4096)
    return torch.softmax(x, -1)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
