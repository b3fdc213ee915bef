"""Leaves an answer wrong, so that a later one is run with the reference in its place, and keeps that for the rest.
(error carried forward brings the reference near)"""

from tests.adversaries import FULL, RIGHT, WRONG

ANSWERS = RIGHT | {
    "scale": WRONG["scale"],
    "normalise": """
import inspect
from pathlib import Path

def normalise(x):
    code = scale.__code__
    try:
        print(inspect.getsource(scale))
    except (OSError, TypeError):
        pass
    print(code.co_names, code.co_consts, code.co_varnames, code.co_filename)
    for place in (".", "/tmp", "/dev/shm", "/var/tmp"):
        try:
            Path(place, "reference").write_bytes(code.co_code)
        except OSError:
            pass
    return torch.softmax(scale(x), -1)
""",
}
# A reference that is no Python function of this process has no __code__, and the answer then fails by itself.
POINTS = FULL | {"scale": 0, "normalise": {0, 5}}
FLAG = {"tampering", "suspicious", "leak"}
SECRETS = ["factor = torch.tensor(3", "torch.mul(x, factor)"]
