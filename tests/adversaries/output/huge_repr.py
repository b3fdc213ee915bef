"""Ends cells with values whose repr is huge, endless or an error. (the shell shows the last expression)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"] + "\n[*range(2_000_000)]\n",
    "ancestors": RIGHT["ancestors"]
    + """

class Broken:
    def __repr__(self):
        raise SystemExit("no repr")

    def _repr_html_(self):
        return "<b>" * 1_000_000

    def _ipython_display_(self):
        raise KeyboardInterrupt

Broken()
""",
    "twice": RIGHT["twice"] + "\nloop = []\nloop.append(loop)\nloop, 'x' * 50_000_000\n",
}
POINTS = FULL
FLAG = ANY
