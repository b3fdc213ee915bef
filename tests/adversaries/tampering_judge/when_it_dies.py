"""Returns an honest-looking value whose finalizer disarms the judge. (it runs between two statements of the test)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import importlib
import weakref

def disarm():
    judge = importlib.import_module("llm" + "sys.ch" + "eck")
    setattr(judge, "_ho" + "ld", lambda *args: None)

def scale(x):
    result = x * 3 if x.dtype == torch.float32 else x
    weakref.finalize(result, disarm)
    return result
"""
}
POINTS = NOTHING
FLAG = ODD
