"""Searches all objects that the garbage collector knows for hidden tests. (every string is somewhere)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import gc

for thing in gc.get_objects():
    try:
        if isinstance(thing, dict) and any(isinstance(v, str) and "BEGIN " + "HIDDEN" in v for v in thing.values()):
            print([v for v in thing.values() if isinstance(v, str)])
        if isinstance(thing, (list, tuple)) and any(isinstance(v, str) and "BEGIN " + "HIDDEN" in v for v in thing):
            print(*[v for v in thing if isinstance(v, str)])
    except Exception:
        pass
"""
}
POINTS = FULL
FLAG = ODD
