"""Right in value, as views, expanded and transposed tensors that need gradients. (who said contiguous?)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": "def scale(x):\n    return (x.mT * 3).mT if x.ndim == 2 else (x.flip(0) * 3).flip(0)\n",
    "grad": """
def grad(f, x):
    entries = [(f(x + m) - f(x - m)) / 12e-6 for m in 6e-6 * torch.eye(len(x), dtype=x.dtype)]
    return torch.stack([*entries, *entries]).requires_grad_()[::1][: len(x)]
""",
}
POINTS = FULL
FLAG = None
