"""Prints the source of the calling cell from within the call. (so that it stands in the output)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import inspect
import linecache
import sys

def scale(x):
    frame = sys._getframe(1)
    while frame:
        print("".join(linecache.getlines(frame.f_code.co_filename)) if "ipykernel" in frame.f_code.co_filename
              or frame.f_code.co_filename.startswith("<") else "", file=sys.stderr)
        print(frame.f_code.co_consts)
        frame = frame.f_back
    return x * 3
"""
}
POINTS = FULL | {"scale": {0, 2}}  # what it reaches for is refused with an error, in the middle of its answer
FLAG = ODD
