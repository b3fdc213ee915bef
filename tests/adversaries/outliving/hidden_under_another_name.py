"""Leaves a process that changes its name, ignores all signals and sits in another process group. (looks harmless)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + '''
import subprocess
import sys

LOOP = """
import ctypes, signal, time
ctypes.CDLL(None).prctl(15, b"kworker/0:1", 0, 0, 0)
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
time.sleep(3600)  # adversary-outlives
"""
subprocess.Popen([sys.executable, "-c", LOOP], process_group=0, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
'''
}
POINTS = FULL
FLAG = ODD
