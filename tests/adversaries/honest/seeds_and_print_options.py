"""Right, after setting seeds, print options and warning filters. (the usual first lines)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import random
import warnings
import numpy as np

warnings.filterwarnings("ignore")
random.seed(0)
np.random.seed(0)
torch.manual_seed(0)
torch.set_printoptions(precision=2, sci_mode=False)
np.set_printoptions(precision=3, suppress=True, linewidth=60)

def scale(x):
    return x * 3

print(scale(torch.rand(3)))
"""
}
POINTS = FULL
FLAG = None
