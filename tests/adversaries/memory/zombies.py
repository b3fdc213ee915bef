"""Starts processes that end at once and are never waited for. (a table of processes has an end)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os

def normalise(x):
    born = 0
    for _ in range(20_000):
        try:
            if os.fork() == 0:
                os._exit(0)
            born += 1
        except OSError:
            break
    raise OSError(f"{born} were born")
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
