"""Leaves a dispatch mode on the stack that turns every product into zeros. (one level below the function mode)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
from torch.utils._python_dispatch import TorchDispatchMode

class Nought(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if "aten.mul" in str(function) or "softmax" in str(function):
            result = torch.zeros_like(result)
        return result

nought = Nought()
nought.__enter__()

def scale(x):
    return x * 0
""",
    "normalise": "def normalise(x):\n    return torch.zeros_like(x)\n",
}
POINTS = NOTHING
FLAG = ODD
