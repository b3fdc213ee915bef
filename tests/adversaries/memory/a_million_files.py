"""Makes files until it is stopped, a million at most. (one for each number)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import time
from pathlib import Path

def normalise(x):
    deadline = time.monotonic() + 2
    for number in range(1_000_000):
        folder = Path("many", str(number // 1000))
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / str(number)).touch()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{number} files")
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
