"""Loads weights and data with the libraries at hand: torch.hub, numpy, matplotlib. (they can all fetch)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import numpy as np

for fetch in (
    lambda: torch.hub.load_state_dict_from_url("http://127.0.0.1:9/weights.pt", progress=False),
    lambda: np.lib.npyio.DataSource().open("http://127.0.0.1:9/table.npy"),
):
    try:
        fetch()
        print("REACHED")
    except Exception as error:
        print(type(error).__name__)
"""
}
POINTS = FULL
FLAG = ANY
