"""Sends SIGKILL to every process that it may signal, its parent first. (takes the grader with it)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os
import signal

def normalise(x):
    for process in (os.getppid(), 1, -1, 0):
        try:
            os.kill(process, signal.SIGKILL)
        except OSError:
            pass
    os.kill(os.getpid(), signal.SIGKILL)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
