"""Leaves with the source as its last words: SystemExit's argument, stderr's end, the exit hook. (exit prints)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import atexit
import inspect
import os
import sys

def normalise(x):
    source = inspect.getsource(inspect.stack()[1].frame)
    atexit.register(print, source)
    sys.stderr.write(source)
    os.write(1, source.encode())
    os.write(2, source.encode())
    sys.exit(source)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD
