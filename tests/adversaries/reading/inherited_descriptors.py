"""Reads whatever can be read from the descriptors that it inherited. (one may hold the tests)"""

# What it reads, the other side may miss: what is touched by that earns nothing.
from tests.adversaries import ANY, NOTHING, WRONG

ANSWERS = WRONG | {
    "scale": """
import os
import stat

def drain():
    for descriptor in range(3, 256):
        try:
            mode = os.fstat(descriptor).st_mode
            os.set_blocking(descriptor, False)
            if stat.S_ISREG(mode):
                os.lseek(descriptor, 0, 0)
            print(descriptor, oct(mode), os.readlink(f"/proc/self/fd/{descriptor}"), os.read(descriptor, 4000))
        except OSError:
            pass

drain()

def scale(x):
    drain()
    return x * 2
"""
}
POINTS = NOTHING
FLAG = ANY
