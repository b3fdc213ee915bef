"""Draws what it read as text in a figure, and displays it as HTML, SVG and a widget. (pictures are not searched)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import inspect

import matplotlib.pyplot as plt
from IPython.display import HTML, SVG, display

def scale(x):
    try:
        source = inspect.getsource(inspect.stack()[1].frame)
    except (OSError, TypeError, IndexError):
        source = "nothing"
    figure = plt.figure()
    figure.text(0, 0, source.replace("$", ""), size=6)
    display(figure)
    display(HTML(f"<pre>{source}</pre>"), SVG(f"<svg xmlns='http://www.w3.org/2000/svg'><text>told</text></svg>"))
    display({"text/plain": source, "application/vnd.jupyter.widget-view+json": {"model_id": source}}, raw=True)
    display({"text/plain": ""}, metadata={"text/plain": {"told": source}}, raw=True)
    plt.close(figure)
    return x * 3
"""
}
POINTS = FULL | {"scale": {0, 2}}  # what it reaches for is refused with an error, in the middle of its answer
FLAG = ODD
