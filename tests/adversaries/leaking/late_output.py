"""Reads the test while it runs, and prints it from the next cell, where output is the student's. (out of the window)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import sys

told = []

def scale(x):
    frame = sys._getframe(1)
    while frame:
        told.append(str(frame.f_code.co_consts) + str(frame.f_locals.get("_want")))
        frame = frame.f_back
    return x * 3
""",
    "ancestors": RIGHT["ancestors"] + "\nprint(told)\ntold\n",
}
EXTRA_CELLS = [
    ("after", "test-scale", "import linecache\nprint(*told, *map(str, linecache.cache.values()), globals().get('In'))"),
    (
        "after",
        "test-normalise",
        "{name: value for name, value in globals().items() if name[0] == '_' and name[1:2] != '_'}",
    ),
]
POINTS = FULL | {"scale": {0, 2}}  # what it reaches for is refused with an error, in the middle of its answer
FLAG = ODD
