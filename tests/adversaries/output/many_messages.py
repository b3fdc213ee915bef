"""Writes a hundred thousand single characters, each flushed, to stdout and stderr in turn. (a message for each)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import sys

for i in range(50_000):
    print(".", end="", flush=True)
    print("!", end="", flush=True, file=sys.stderr)
"""
}
POINTS = FULL
FLAG = ANY
