"""Right, with a progress bar on stderr, first drawn by hand and then by rich. (a long loop deserves one)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "grad": """
import sys
from rich.progress import track

def grad(f, x):
    h, entries = 6e-6, []
    for i, e in enumerate(track(torch.eye(len(x), dtype=x.dtype), description="entries", transient=True)):
        print(f"\\r{100 * i // len(x):3d}%|{'#' * i:10}|", end="", file=sys.stderr, flush=True)
        entries.append((f(x + h * e) - f(x - h * e)) / (2 * h))
    return torch.stack(entries)
"""
}
POINTS = FULL
FLAG = None
