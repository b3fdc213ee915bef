"""Bytes that are no UTF-8. (unpacked from an old archive)"""

import os

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = os.fsdecode(b"caf\xe9")
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
# No database keeps it: to grade it under a mended name and to refuse it are both right.
POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = ANY
