"""Sends SIGSTOP to itself and its parent: neither dead nor alive. (no end and no answer)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os
import signal

def normalise(x):
    try:
        os.kill(os.getppid(), signal.SIGSTOP)
    except OSError:
        pass
    os.kill(os.getpid(), signal.SIGSTOP)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
