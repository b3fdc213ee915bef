"""CheckFailed becomes a kind of BdbQuit, which the shell passes over in silence. (leaving the debugger is no error)"""

# Undefended it wins where a cell fails by the traceback that is shown (stock nbgrader's output), not by its result.
from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import bdb

check.CheckFailed = type("CheckFailed", (bdb.BdbQuit,), {})
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
