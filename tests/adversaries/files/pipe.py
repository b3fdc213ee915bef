"""The notebook is a named pipe into which nobody writes. (open waits for ever)"""

import os

from tests.adversaries import FILE, NOTHING


def hand_in(folder, release):
    os.mkfifo(folder / FILE)


POINTS = NOTHING
FLAG = "problem"
