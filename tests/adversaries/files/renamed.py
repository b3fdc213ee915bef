"""The notebook has another name. (final, final2, really final)"""

from tests.adversaries import ANY, FULL, RIGHT, fill, save


def hand_in(folder, release):
    save(fill(release, RIGHT), folder / "lesson_final (2).ipynb")


POINTS = FULL
FLAG = ANY
