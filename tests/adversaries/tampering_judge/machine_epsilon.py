"""numpy.finfo and torch.finfo tell of a huge epsilon, from which tolerances are made. (a judge's judge)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import numpy as np
from types import SimpleNamespace

generous = lambda dtype: SimpleNamespace(eps=1e30, tiny=0.0, max=1e308, min=-1e308, bits=64)
np.finfo = torch.finfo = generous
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
