"""A right answer and its test were merged into one cell. (merge cells)"""

from tests.adversaries import FILE, FULL, RIGHT, cell_of, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    answer, test = cell_of(notebook, "exercise-scale"), cell_of(notebook, "test-scale")
    answer.source += "\n\n" + test.source
    notebook.cells.remove(test)
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
