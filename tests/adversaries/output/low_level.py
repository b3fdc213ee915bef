"""Writes 50 MB of zeros and broken UTF-8 to descriptors 1 and 2. (past Python's streams)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os

for _ in range(50):
    os.write(1, b"\\0\\xff\\xfe\\x80" * (1 << 17))
    os.write(2, b"\\x1b[2J\\x07\\r" * (1 << 16))
"""
}
POINTS = FULL
FLAG = ANY
