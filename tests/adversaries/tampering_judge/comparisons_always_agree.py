"""torch.allclose, torch.equal, torch.testing and numpy's comparisons all say yes. (the oldest trick)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import numpy as np

yes = lambda *args, **kwargs: True
torch.allclose = torch.equal = np.allclose = np.array_equal = yes
torch.testing.assert_close = np.testing.assert_allclose = np.testing.assert_array_equal = lambda *a, **k: None
np.argwhere = lambda *args: []
np.abs = lambda value: np.zeros_like(value)
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
