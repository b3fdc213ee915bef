"""Returns a tensor of a subclass whose detach and numpy give what is expected. (__torch_function__ sees each call)"""

from tests.adversaries import NOTHING, ODD, WRONG

CHAMELEON = """
import inspect

class Chameleon(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ("detach", "cpu", "numpy", "double"):
            for caller in inspect.stack():
                if "expected" in caller.frame.f_locals:
                    wanted = caller.frame.f_locals["expected"]
                    return wanted.numpy() if function.__name__ == "numpy" else args[0]
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

def lie(x):
    return x.as_subclass(Chameleon)

"""
ANSWERS = WRONG | {
    "scale": CHAMELEON + "def scale(x):\n    return lie(x)\n",
    "grad": "def grad(f, x):\n    return lie(x)\n",
    "normalise": "def normalise(x):\n    return lie(x)\n",
}
POINTS = NOTHING
FLAG = ODD
