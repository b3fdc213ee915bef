"""One answer cell is gone, the others are right. (dd in command mode)"""

from tests.adversaries import FILE, FULL, RIGHT, cell_of, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.cells.remove(cell_of(notebook, "exercise-twice"))
    save(notebook, folder / FILE)


POINTS = FULL | {"twice": 0}
FLAG = "repaired"
