"""Grade ids of easy and hard tests were exchanged, and cell ids with them. (the right answer is worth more there)"""

from tests.adversaries import FILE, FULL, RIGHT, WRONG, cell_of, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT | {"normalise": WRONG["normalise"]})
    easy, hard = cell_of(notebook, "test-scale"), cell_of(notebook, "test-normalise")
    easy.metadata["nbgrader"], hard.metadata["nbgrader"] = hard.metadata["nbgrader"], easy.metadata["nbgrader"]
    easy.id, hard.id = hard.id, easy.id
    save(notebook, folder / FILE)


POINTS = FULL | {"normalise": 0}
FLAG = "repaired"
