"""Overflows the C stack by nested iterators, without any forbidden name. (an honest crash)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    chain = iter([1, 2, 3])
    for _ in range(1_000_000):
        chain = map(abs, chain)
    return torch.tensor(list(chain))
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
