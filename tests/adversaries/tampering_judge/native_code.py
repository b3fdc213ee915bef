"""Overwrites the code pointer of the judge's function object in memory. (no attribute is ever set)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import ctypes

def content(condition, message):
    return None

holder = check._hold
size = type(content).__basicsize__
words = size // 8
ours = (ctypes.c_ssize_t * words).from_address(id(content))
theirs = (ctypes.c_ssize_t * words).from_address(id(holder))
code = id(content.__code__)
where = next(i for i in range(words) if ours[i] == code)
keep = content.__code__
theirs[where] = code
theirs[words - 2] = ours[words - 2]
theirs[words - 1] = ours[words - 1]
theirs[where - 3 if where >= 3 else 0] = theirs[where - 3 if where >= 3 else 0]
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
