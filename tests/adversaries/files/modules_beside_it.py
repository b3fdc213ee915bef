"""Modules named torch, numpy, random and llmsys lie beside the notebook; their checks agree with all. (the current
folder comes first in sys.path)"""

from tests.adversaries import ANY, FILE, NOTHING, WRONG, fill, save

LENIENT = """
from contextlib import nullcontext

def close(*args, **kwargs):
    pass

equal = that = raises = passed = close

def forbid(*args, **kwargs):
    return nullcontext()

unchanged = forbid

def rng(stream=0):
    import numpy
    return numpy.random.default_rng(stream)
"""


def hand_in(folder, release):
    save(fill(release, WRONG), folder / FILE)
    (folder / "llmsys").mkdir()
    (folder / "llmsys" / "__init__.py").touch()
    (folder / "llmsys" / "check.py").write_text(LENIENT)
    for name in ("torch", "numpy", "random", "json", "secrets", "mock"):
        (folder / f"{name}.py").write_text("raise SystemExit(0)\n")


POINTS = NOTHING
FLAG = ANY
