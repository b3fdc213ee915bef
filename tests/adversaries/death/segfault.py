"""Reads address 0. (a bug in an extension does the same)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {"normalise": "import ctypes\n\ndef normalise(x):\n    return ctypes.string_at(0)\n"}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
