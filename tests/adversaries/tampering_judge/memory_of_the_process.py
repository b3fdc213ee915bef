"""Rewrites the judge's message and code in memory through /proc/self/mem. (a file like any other)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": '''
import struct

def content(condition, message):
    return None

def address_of_code(function):
    """Where the function object keeps the pointer to its code."""
    base = id(function)
    with open("/proc/self/mem", "rb") as memory:
        memory.seek(base)
        words = struct.unpack("20q", memory.read(160))
    return base + 8 * words.index(id(function.__code__))

code = content.__code__
version = struct.pack("q", id(code))
target = address_of_code(check._hold)
with open("/proc/self/mem", "r+b", buffering=0) as memory:
    memory.seek(target)
    memory.write(version)
'''
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
