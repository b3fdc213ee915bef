"""Right, with timing and plotting magics in its own cells and on top of an answer. (what notebooks are for)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {"scale": "%%time\n" + RIGHT["scale"]}
EXTRA_CELLS = [
    ("after", "imports", "%matplotlib inline"),
    ("after", "exercise-scale", "%time scale(torch.ones(3))"),
    ("after", "exercise-twice", "%%timeit -n 2 -r 2\ntwice(abs, -1)"),
    ("after", "exercise-grad", "grad?"),
]
POINTS = FULL
FLAG = None
