"""Clears its output and updates one display ten thousand times. (an animation)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
from IPython.display import clear_output, display

handle = display("begin", display_id="adversary")
for i in range(5000):
    clear_output(wait=True)
    if handle:
        handle.update(f"{i} " * 10)
"""
}
POINTS = FULL
FLAG = ANY
