"""A right answer cell was copied with its metadata and stands twice. (copy and paste)"""

import copy

from tests.adversaries import FILE, FULL, RIGHT, cell_of, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    answer = cell_of(notebook, "exercise-ancestors")
    notebook.cells.insert(notebook.cells.index(answer) + 1, copy.deepcopy(answer))
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
