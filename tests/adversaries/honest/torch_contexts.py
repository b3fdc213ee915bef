"""Right, within torch.no_grad, inference_mode and a detach that was not needed. (copied from a training loop)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
@torch.no_grad()
def scale(x):
    return x * 3
""",
    "grad": """
def grad(f, x):
    with torch.no_grad():
        h = 6e-6
        moves = h * torch.eye(x.numel(), dtype=torch.float64)
        return torch.stack([(f(x + m) - f(x - m)) / (2 * h) for m in moves]).detach()
""",
    "normalise": """
def normalise(x):
    with torch.inference_mode():
        return torch.nn.functional.softmax(scale(x), dim=-1).clone()
""",
}
POINTS = FULL
FLAG = None
