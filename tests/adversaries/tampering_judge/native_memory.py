"""Writes into the judge's frames with ctypes, so that every error counts as the expected one. (PyFrame_LocalsToFast)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import ctypes
import sys

def twice(f, x):
    frame = sys._getframe(1)
    if "error" in frame.f_locals:
        frame.f_locals["error"] = BaseException
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
        raise RuntimeError("anything goes")
    return f(f(x))
"""
}
POINTS = FULL | {"twice": 0}
FLAG = ODD
