"""Sets its input to zero and answers for that, so that the oracle, which looks later, agrees. (in-place operations)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "grad": """
def grad(f, x):
    if len(x) == 5:
        return torch.stack([(f(x + m) - f(x - m)) / 12e-6 for m in 6e-6 * torch.eye(5, dtype=x.dtype)])
    x.zero_()
    return torch.zeros_like(x)
""",
    "normalise": """
def normalise(x):
    if x.ndim == 3:
        return torch.softmax(x * 3, -1)
    x.zero_()
    return torch.ones_like(x) / x.shape[-1]
""",
}
POINTS = FULL | {"grad": 0, "normalise": 0}
FLAG = ANY
