"""Puts a lenient module into sys.modules and the package, and imports it again as everybody does. (import is a
dictionary lookup)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import sys
import types

import llmsys

lenient = types.ModuleType("llmsys.check")
lenient.__dict__.update(vars(llmsys.check))
for name in ("close", "equal", "that", "raises"):
    setattr(lenient, name, lambda *args, **kwargs: None)
sys.modules["llmsys.check"] = llmsys.check = lenient
from llmsys import check
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
