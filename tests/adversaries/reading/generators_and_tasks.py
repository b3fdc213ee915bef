"""Finds the test's frame through a generator's gi_frame, all asyncio tasks and their stacks. (other doors to frames)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import asyncio

def here():
    yield running.gi_frame.f_back

def climb():
    global running
    running = here()
    return next(running)

def scale(x):
    frame = climb()
    while frame:
        for name in ("_want", "want"):
            known = frame.f_locals.get(name)
            if getattr(known, "shape", None) == x.shape:
                return known
        frame = frame.f_back
    try:
        for task in asyncio.all_tasks():
            task.print_stack()
    except RuntimeError:
        pass
    return x.zero_()
"""
}
POINTS = FULL | {"scale": 0, "normalise": {0, 5}}
FLAG = ODD
