"""Leaves threads that are no daemons, an executor at work and an endless timer. (the process won't end by itself)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import threading
import time
from concurrent.futures import ThreadPoolExecutor

def go_on():
    while True:
        time.sleep(0.05)

threading.Thread(target=go_on).start()
pool = ThreadPoolExecutor(2)
pool.submit(go_on)
threading.Timer(3600, print).start()
"""
}
POINTS = FULL
FLAG = ANY
