"""Its first answer is wrong on purpose; the last one raises the code of the reference that took its place. (error
carried forward runs it)"""

from tests.adversaries import FULL, RIGHT, WRONG

ANSWERS = RIGHT | {
    "scale": WRONG["scale"],
    "normalise": """
import base64
import inspect
import marshal

def normalise(x):
    if scale(torch.ones(1)).item() == 3:
        try:
            source = inspect.getsource(scale)
        except (OSError, TypeError):
            source = ""
        raise ValueError(source + "CODE" + base64.b64encode(marshal.dumps(scale.__code__)).decode())
    return torch.softmax(scale(x), -1)
""",
}
POINTS = FULL | {"scale": 0, "normalise": 0}
FLAG = {"tampering", "suspicious", "leak"}
SECRETS = ["factor = torch.tensor(3", "torch.mul(x, factor)", "CODE4wEAAAA"]
