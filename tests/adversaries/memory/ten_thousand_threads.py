"""Starts 10,000 threads that wait. (one for each row)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import threading

never = threading.Event()

def normalise(x):
    threads = [threading.Thread(target=never.wait, daemon=True) for _ in range(10_000)]
    for thread in threads:
        thread.start()
    raise ValueError("all of them run")
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
