"""Overflows the C stack by a nested comparison, without any forbidden name. (an honest crash)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    nested = None
    for _ in range(10_000_000):
        nested = (nested,)
    del nested
    chain = iter(())
    for _ in range(300_000):
        chain = map(lambda value: value, chain)
    return torch.tensor(list(chain))
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
