"""Traces each check and moves its next line behind the comparison. (a debugger may set f_lineno)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import sys
import threading

def tracer(frame, event, arg):
    if frame.f_code.co_filename.endswith("check.py") and frame.f_code.co_name in ("_hold", "hold"):
        if event == "line":
            frame.f_lineno = max(line for _, _, line in frame.f_code.co_lines() if line)
            frame.f_trace = None
    return tracer

sys.settrace(tracer)
threading.settrace(tracer)
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
