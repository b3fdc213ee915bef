"""Right, with seeds fixed and numbers of threads changed in every library. (reproducible!)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os
import random

import numpy as np

random.seed(1)
np.random.seed(1)
torch.manual_seed(1)
os.environ["OMP_NUM_THREADS"] = "64"
os.environ["PYTHONHASHSEED"] = "0"
os.environ["LLMSYS_SEED"] = "1"
try:
    torch.set_num_threads(64)
    torch.set_num_interop_threads(64)
except RuntimeError as error:
    print(error)
"""
}
POINTS = FULL
FLAG = ANY
