"""Leaves a torch function mode on the stack, in which the oracles compute what the answers give. (modes are global)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
from torch.overrides import TorchFunctionMode

class Mode(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and function.__name__ in ("mul", "__mul__", "softmax", "detach"):
            return result * 0
        return result

mode = Mode()
mode.__enter__()

def scale(x):
    return x * 0
""",
    "normalise": "def normalise(x):\n    return torch.softmax(x, -1) * 0\n",
}
POINTS = NOTHING
FLAG = ODD
