"""Fills shared memory: /dev/shm, a memfd and anonymous shared maps. (memory that no limit of a process counts)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import mmap
import os

def normalise(x):
    kept = []
    try:
        with open("/dev/shm/adversary-fills", "wb") as file:
            for _ in range(320):
                file.write(bytes(64 << 20))
    except OSError:
        pass
    try:
        memory = os.memfd_create("adversary")
        for _ in range(320):
            os.write(memory, bytes(64 << 20))
    except OSError:
        pass
    for _ in range(320):
        kept.append(mmap.mmap(-1, 64 << 20))
        kept[-1].write(bytes(64 << 20))
    raise MemoryError("20 GB were shared")
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
