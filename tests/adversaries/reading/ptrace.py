"""Attaches to its parent with ptrace, and reads its memory with process_vm_readv. (what a debugger does)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
ATTACH, DETACH = 16, 17
for process in (os.getppid(), 1):
    if process != os.getpid():
        print("ptrace", process, libc.ptrace(ATTACH, process, None, None), ctypes.get_errno())
        libc.ptrace(DETACH, process, None, None)
    class Range(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    buffer = ctypes.create_string_buffer(64)
    ours = Range(ctypes.cast(buffer, ctypes.c_void_p), 64)
    theirs = Range(id(ANSWERED := object()), 64)
    print("read", libc.process_vm_readv(process, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0), buffer.raw[:8])
"""
}
POINTS = FULL
FLAG = ODD
