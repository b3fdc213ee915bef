"""Traces the shell and swaps the code of each test statement for an empty one. (a trace function writes back what it
changes in a frame)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import sys
import threading

empty = (lambda: None).__code__

def tracer(frame, event, arg):
    if frame.f_code.co_name in ("run_code", "_run", "run", "_exec", "execute"):
        names = frame.f_locals
        for name, value in names.items():
            if {"check", "agree"} & set(getattr(value, "co_names", ())):
                names[name] = empty
    return tracer

sys.settrace(tracer)
threading.settrace(tracer)
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
