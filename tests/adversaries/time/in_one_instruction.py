"""One operation in C that takes for ever and looks at no signal. (a power of a power)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    return torch.tensor(float(len(str(7 ** (10**9)))))
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
