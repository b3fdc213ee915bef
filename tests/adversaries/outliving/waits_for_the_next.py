"""A forked copy watches the work folders and writes answers into the next submission. (kernels come from one parent)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import glob
import os
import time

if os.fork() == 0:
    try:
        os.setsid()
        until = time.monotonic() + 120
        while time.monotonic() < until:
            for name in glob.glob("/tmp/**/*.ipynb", recursive=True) + glob.glob("/dev/shm/*"):
                try:
                    os.truncate(name, 0)
                except OSError:
                    pass
            time.sleep(0.2)
    finally:
        os._exit(0)
"""
}
POINTS = FULL
FLAG = ODD
