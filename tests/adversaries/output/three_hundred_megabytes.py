"""Prints 300 MB to stdout in large pieces. (prints a tensor in a loop)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
line = "x" * 1023 + "\\n"
for _ in range(300):
    print(line * 1024, end="")
"""
}
POINTS = FULL
FLAG = ANY
