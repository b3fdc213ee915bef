"""Returns an object whose __array__ looks up what is expected in the judge's frame. (numpy asks it for its values)"""

from tests.adversaries import NOTHING, ODD, WRONG

CHAMELEON = """
import sys

import numpy as np

class Chameleon:
    dtype = torch.float64

    def __array__(self, *args, **kwargs):
        frame = sys._getframe(1)
        while frame and "expected" not in frame.f_locals:
            frame = frame.f_back
        wanted = frame.f_locals["expected"]
        self.dtype = wanted.dtype
        return wanted.detach().numpy()

    def sum(self, *args):
        return self

"""
ANSWERS = WRONG | {
    "scale": CHAMELEON + "def scale(x):\n    return Chameleon()\n",
    "grad": "def grad(f, x):\n    return Chameleon()\n",
    "normalise": "def normalise(x):\n    return Chameleon()\n",
}
POINTS = NOTHING
FLAG = ODD
