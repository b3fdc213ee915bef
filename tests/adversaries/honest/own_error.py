"""Right answers, and cells of its own that end in errors. (a scratch cell that was left behind)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT
EXTRA_CELLS = [
    ("after", "imports", "1 / 0"),
    ("after", "exercise-scale", "scale(undefined_name)"),
    ("after", "test-twice", "def broken(:\n    pass"),
]
POINTS = FULL
FLAG = None
