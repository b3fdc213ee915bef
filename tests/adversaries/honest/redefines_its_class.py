"""Right, with a class that is defined a second time in a cell of its own. (edits while the kernel lives)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
class Scaler:
    factor = 2

    def __call__(self, x):
        return x * self.factor

scale = Scaler()
"""
}
EXTRA_CELLS = [
    (
        "after",
        "exercise-scale",
        """
class Scaler:
    factor = 3

    def __call__(self, x):
        return x * self.factor

scale = Scaler()
""",
    )
]
POINTS = FULL
FLAG = None
