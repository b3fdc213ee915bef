"""Starts a process that keeps stdout and all other descriptors open for an hour. (who reads to the end waits)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": RIGHT["normalise"]
    + """
import subprocess
import sys

subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(3600)  # adversary-outlives"],
    close_fds=False, start_new_session=True,
)
"""
}
POINTS = FULL
FLAG = ODD
