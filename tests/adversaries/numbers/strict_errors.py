"""Right, with warnings as errors, numpy's floating-point errors raised and anomaly mode on. (wants to know)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import warnings

import numpy as np

warnings.simplefilter("error")
np.seterr(all="raise")
torch.autograd.set_detect_anomaly(True)
"""
}
POINTS = FULL
FLAG = ANY
