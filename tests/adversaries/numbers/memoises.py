"""Knows the visible cases by heart and nothing else. (the tests passed at home)"""

from tests.adversaries import NOTHING

ANSWERS = {
    "scale": """
def scale(x):
    if x.dtype == torch.int64:
        return torch.tensor([[3, 6], [9, 12]])
    return torch.tensor([3.0, -6.0, 12.0])
""",
    "ancestors": "def ancestors(node):\n    return [a, b, c] if node.name == 'd' else []\n",
    "twice": """
def twice(f, x):
    if x == 3:
        f(3), f(6)
        return 12
    raise TypeError
""",
    "grad": "def grad(f, x):\n    return 2 * x\n",
    "normalise": "def normalise(x):\n    return torch.softmax(x.float() * 3, -1).float() if x.dim() == 2 else None\n",
}
POINTS = NOTHING
FLAG = None
