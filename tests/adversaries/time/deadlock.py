"""Waits for a lock that it holds itself, without any timeout. (threads are hard)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import threading

lock = threading.Lock()

def normalise(x):
    with lock, lock:
        return torch.softmax(scale(x), -1)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
