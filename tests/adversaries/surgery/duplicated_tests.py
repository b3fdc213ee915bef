"""Before each test stands a second cell of the same id whose source just passes. (the first one found counts)"""

import copy

from tests.adversaries import FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    cells = []
    for cell in notebook.cells:
        if cell.id.startswith("test-"):
            double = copy.deepcopy(cell)
            double.source = f'check.passed("{cell.id.removeprefix("test-")}")'
            cells.append(double)
        cells.append(cell)
    notebook.cells = cells
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = "repaired"
