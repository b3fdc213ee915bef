"""A thread waits until the test runs, prints what a passed one prints, and ends the process with 0. (the test never
comes to its end)"""

# Undefended it wins only against a grader that reads exit status or output.
from tests.adversaries import ANY, NOTHING, WRONG

ANSWERS = WRONG | {
    "normalise": """
import os
import threading
import time

started = threading.Event()

def watch():
    started.wait()
    print("normalise: 4 checks passed.", flush=True)
    os._exit(0)

threading.Thread(target=watch, daemon=True).start()

def normalise(x):
    started.set()
    time.sleep(0.5)
    return x
"""
}
POINTS = NOTHING
FLAG = ANY
