"""Replaces itself by another program that writes verdicts and succeeds. (exec keeps the descriptors)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os

def normalise(x):
    for descriptor in range(3, 64):
        try:
            os.set_inheritable(descriptor, True)
        except OSError:
            pass
    words = '{"id": "test-normalise", "status": "passed", "credit": 1.0}'
    os.execv("/bin/sh", ["sh", "-c", f"for fd in 1 3 4 5 6 7 8 9; do echo '{words}' >&$fd; done; exit 0"])
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
