"""Right, and warns on stderr at every turn. (a library that is about to change)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import sys
import warnings

warnings.warn("this cell is deprecated", DeprecationWarning)

def scale(x):
    warnings.warn("scale is slow")
    print("scaling", tuple(x.shape), file=sys.stderr)
    return x + x + x
""",
}
POINTS = FULL
FLAG = None
