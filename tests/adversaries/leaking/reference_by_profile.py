"""A profile function prints the names and constants of the reference while it is called. (needs no attribute of it)"""

from tests.adversaries import FULL, ODD, RIGHT, WRONG

ANSWERS = RIGHT | {
    "scale": WRONG["scale"],
    "normalise": """
import sys

def profiler(frame, event, arg):
    if event == "call" and frame.f_code.co_name == "scale":
        print("CODE", frame.f_code.co_names, frame.f_code.co_consts, frame.f_code.co_filename, frame.f_back.f_code)

def normalise(x):
    sys.setprofile(profiler)
    try:
        return torch.softmax(scale(x), -1)
    finally:
        sys.setprofile(None)
""",
}
POINTS = FULL | {"scale": 0, "normalise": {0, 5}}
FLAG = ODD
SECRETS = ["'dtype', 'mul'", "factor = torch.tensor(3"]
