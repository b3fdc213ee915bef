"""Leaves breakpoint() and pdb in its answer, and %debug in a cell of its own. (was looking for a mistake)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    breakpoint()
    return torch.softmax(scale(x), -1)
"""
}
EXTRA_CELLS = [
    ("after", "exercise-scale", "1 / 0"),
    ("after", "test-scale", "%debug"),
    ("after", "exercise-twice", "import pdb\npdb.set_trace()"),
]
# A debugger that gets no input may end, with an error or without.
POINTS = FULL | {"normalise": {0, 5}}
FLAG = ANY
