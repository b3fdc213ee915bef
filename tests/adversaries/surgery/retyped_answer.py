"""A right answer's cell became Markdown. (pressed M)"""

from tests.adversaries import FILE, FULL, RIGHT, cell_of, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    cell = cell_of(notebook, "exercise-twice")
    cell.cell_type = "markdown"
    del cell["outputs"], cell["execution_count"]
    save(notebook, folder / FILE)


POINTS = FULL | {"twice": {0, 2}}
FLAG = "repaired"
