"""Ignores all signals that can be ignored, blocks the rest, and waits. (no interrupt gets through)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import signal
import time

def normalise(x):
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    time.sleep(100_000)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
