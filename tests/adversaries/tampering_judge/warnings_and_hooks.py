"""excepthook, unraisablehook and threading's hook leave with status 0, and warnings are errors. (the end of a run)"""

# Undefended it wins only where a failure is told by the process's exit.
from tests.adversaries import ANY, NOTHING, WRONG

ANSWERS = WRONG | {
    "scale": """
import os
import sys
import threading
import warnings

leave = lambda *args: os._exit(0)
sys.excepthook = sys.unraisablehook = threading.excepthook = leave
warnings.simplefilter("error")
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ANY
