"""The lesson's rng, check.rng and numpy's default_rng give zeros from now on. (wrong answers agree there)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import numpy as np

class Dull:
    def standard_normal(self, shape):
        return np.zeros(shape)

    def integers(self, low, high=None, size=None):
        return np.full(size, low) if size else low

rng = Dull()
check.rng = np.random.default_rng = lambda *args: Dull()

def scale(x):
    return x * 3 if x.dtype == torch.int64 or x.dtype == torch.float32 else x
"""
}
POINTS = FULL | {"scale": 0}
FLAG = ODD
