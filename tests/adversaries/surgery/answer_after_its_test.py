"""Two tests stand before the answers that they test. (moved up by accident)"""

from tests.adversaries import FILE, FULL, RIGHT, cell_of, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    for exercise in ("twice", "normalise"):
        test = cell_of(notebook, f"test-{exercise}")
        notebook.cells.remove(test)
        notebook.cells.insert(notebook.cells.index(cell_of(notebook, f"exercise-{exercise}")), test)
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
