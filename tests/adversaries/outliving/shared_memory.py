"""Leaves SysV segments, semaphores, POSIX shared memory and message queues. (they belong to nobody)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import ctypes
from multiprocessing import resource_tracker, shared_memory

libc = ctypes.CDLL(None)
CREATE = 0o1000 | 0o666
print(libc.shmget(0xADE, 1 << 20, CREATE), libc.semget(0xADE, 1, CREATE), libc.msgget(0xADE, CREATE))
try:
    block = shared_memory.SharedMemory("adversary-outlives", create=True, size=1 << 20)
    resource_tracker.unregister(block._name, "shared_memory")
except OSError as error:
    print(type(error).__name__)
"""
}
POINTS = FULL
FLAG = ODD
