"""A thread rebinds the judge as soon as the test's own names appear. (after every look at the cells before)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import sys
import threading
import time

begun = threading.Event()

def wait():
    begun.wait()
    sys.modules["llmsys.check"]._hold = lambda *args: None

threading.Thread(target=wait, daemon=True).start()

def scale(x):
    begun.set()
    time.sleep(0.05)
    return x * 2
"""
}
POINTS = NOTHING
FLAG = ODD
