"""A profile function rebinds the judge's `_hold` on its first call. (sys.setprofile survives the cell)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import sys

def profiler(frame, event, arg):
    if event == "call" and "_hold" in frame.f_globals:
        frame.f_globals["_hold"] = lambda *args: None

sys.setprofile(profiler)
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
