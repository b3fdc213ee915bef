"""A finder on sys.meta_path serves a lenient llmsys.check to whoever imports it afresh. (reloading does not help)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": '''
import importlib.abc
import importlib.util
import sys

SOURCE = """
from contextlib import nullcontext
import numpy as np
def close(*args, **kwargs): pass
equal = that = raises = passed = close
forbid = unchanged = lambda *args, **kwargs: nullcontext()
rng = lambda stream=0: np.random.default_rng(stream)
"""

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name == "llmsys.check" else None

    def exec_module(self, module):
        exec(SOURCE, module.__dict__)

sys.meta_path.insert(0, Finder())
for name in [name for name in sys.modules if name.startswith("llmsys")]:
    del sys.modules[name]
from llmsys import check
'''
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
