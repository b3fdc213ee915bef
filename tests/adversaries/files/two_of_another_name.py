"""Two notebooks with different answers, neither under the right name. (nobody can know)"""

from tests.adversaries import NOTHING, RIGHT, WRONG, fill, save


def hand_in(folder, release):
    save(fill(release, WRONG), folder / "a.ipynb")
    save(fill(release, RIGHT), folder / "b.ipynb")


POINTS = NOTHING
FLAG = "problem"
