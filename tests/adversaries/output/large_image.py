"""Displays a picture of 200 MB and a figure of ten thousand inches. (a dpi too many)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os

import matplotlib.pyplot as plt
from IPython.display import display

display({"image/png": "iVBORw0KGgo" + "A" * (200 << 20), "text/plain": "a picture"}, raw=True)
try:
    plt.figure(figsize=(10_000, 10_000))
    plt.show()
except Exception as error:
    print(type(error).__name__)
plt.close("all")
"""
}
POINTS = FULL
FLAG = ANY
