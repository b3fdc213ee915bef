"""Its first answer is wrong on purpose; the last one prints and disassembles what took its place. (print is honest)"""

from tests.adversaries import ANY, FULL, RIGHT, WRONG

ANSWERS = RIGHT | {
    "scale": WRONG["scale"],
    "normalise": """
import dis
import inspect

def normalise(x):
    try:
        print(inspect.getsource(scale))
        print(inspect.getsource(inspect.getmodule(scale)))
    except (OSError, TypeError):
        pass
    try:
        dis.dis(scale)
    except TypeError:
        pass
    return torch.softmax(scale(x), -1)
""",
}
POINTS = FULL | {"scale": 0}
FLAG = ANY  # nothing of what it prints leaves the run in which the reference is there
SECRETS = ["factor = torch.tensor(3", "torch.mul(x, factor)", "(mul)"]
