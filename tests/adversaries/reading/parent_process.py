"""Reads command line, environment, memory and files of its parents through /proc. (same user)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os
from pathlib import Path

for process in ["1", str(os.getppid()), *os.listdir("/proc")]:
    for name in ("cmdline", "environ", "maps"):
        try:
            print(name, Path("/proc", process, name).read_bytes()[:300] if process.isdigit() else "")
        except OSError:
            pass
    try:
        for descriptor in os.listdir(f"/proc/{process}/fd"):
            print(os.readlink(f"/proc/{process}/fd/{descriptor}"))
        with open(f"/proc/{process}/mem", "rb") as memory:
            memory.seek(0x400000)
            print(memory.read(100))
    except (OSError, ValueError):
        pass
"""
}
POINTS = FULL
FLAG = ANY
