"""A thread reads the main thread's frames through sys._current_frames while the test waits. (from beside, not below)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import sys
import threading

def spy(main, x, found):
    frame = sys._current_frames().get(main)
    while frame:
        known = (frame.f_globals | frame.f_locals).get("_want")
        if getattr(known, "shape", None) == x.shape:
            found.append(known)
        frame = frame.f_back

def normalise(x):
    found = []
    thread = threading.Thread(target=spy, args=(threading.get_ident(), x, found))
    thread.start()
    thread.join()
    return found[0] if found else torch.ones_like(x.zero_()) / x.shape[-1]
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD
