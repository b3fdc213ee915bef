"""Fills its memory and goes on asking for more, whatever error comes. (to see what gives way first)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    kept, size, refused = [], 1 << 30, 0
    while refused < 1000:
        try:
            kept.append(bytearray(b"x") * size)
        except MemoryError:
            size, refused = max(size // 2, 1 << 12), refused + 1
    raise ValueError(f"{len(kept)} blocks")
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
