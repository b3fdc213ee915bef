"""Every process makes two more, as fast as it can. (the classic)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os
import time

def normalise(x):
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            os.fork()
        except OSError:
            pass
    time.sleep(60)
    os._exit(1)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
