"""Opens files and pipes until there are no descriptors left. (never closes one)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os

kept = []

def normalise(x):
    while len(kept) < 200_000:
        kept.append(open(os.devnull))
        kept.extend(os.pipe())
    raise OSError("no end of them")
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
