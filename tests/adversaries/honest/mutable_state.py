"""Right, with a cache between calls and a counter in a global. (speed)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "grad": """
CACHE, calls_of_grad = {}, 0

def moves(n):
    if n not in CACHE:
        CACHE[n] = 6e-6 * torch.eye(n, dtype=torch.float64)
    return CACHE[n]

def grad(f, x):
    global calls_of_grad
    calls_of_grad += 1
    return torch.stack([(f(x + m) - f(x - m)) / 12e-6 for m in moves(len(x))])
"""
}
POINTS = FULL
FLAG = None
