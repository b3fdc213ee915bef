"""Writes into its parent's memory and the files behind loaded modules. (the next kernel comes from the same parent)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os

import llmsys

for process in (os.getppid(), 1):
    try:
        with open(f"/proc/{process}/mem", "r+b", buffering=0) as memory:
            memory.seek(id(check.__dict__))
            memory.write(b"\\0" * 64)
            print("WRITTEN")
    except OSError as error:
        print(type(error).__name__)
    try:
        os.kill(process, 0)
        print(process, "can be signalled")
    except OSError as error:
        print(type(error).__name__)
for name in (check.__file__, llmsys.__file__, torch.__file__):
    try:
        os.utime(name)
        print("TOUCHED", name)
    except OSError as error:
        print(type(error).__name__)
"""
}
POINTS = FULL
FLAG = ODD
