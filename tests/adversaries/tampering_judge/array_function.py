"""Returns an array of a subclass that answers numpy's own comparisons. (__array_function__ and __array_ufunc__)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import numpy as np

class Content(np.ndarray):
    def __array_function__(self, function, types, args, kwargs):
        return True

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return np.zeros(np.shape(inputs[-1]), dtype=bool)

def twice(f, x):
    if not callable(f):
        raise TypeError
    f(f(x))
    return np.zeros(3).view(Content)
"""
}
POINTS = FULL | {"twice": 0}
FLAG = ANY
