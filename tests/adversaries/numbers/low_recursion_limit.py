"""Right, and leaves a recursion limit of 80 and a switch interval of an hour. (looked for a bug)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import gc
import sys

try:
    sys.setrecursionlimit(80)
except RecursionError:
    sys.setrecursionlimit(200)
sys.setswitchinterval(3600)
gc.disable()
"""
}
# Without a reset, a shell may not be able to run anything at that depth.
POINTS = FULL
FLAG = ANY
