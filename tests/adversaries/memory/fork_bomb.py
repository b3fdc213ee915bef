"""Every process makes more, as fast as it can. (the classic)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os
import time

def normalise(x):
    first, deadline = os.getpid(), time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            os.fork()
        except OSError:
            pass
    if os.getpid() != first:
        time.sleep(600)
        os._exit(0)
    raise OSError("enough")
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
