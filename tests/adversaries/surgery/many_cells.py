"""Two thousand empty cells and comments between the right answers. (a key that was stuck)"""

from nbformat.v4 import new_code_cell, new_markdown_cell

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.cells[3:3] = [new_code_cell("", id=f"empty-{i}") for i in range(1000)]
    notebook.cells += [new_markdown_cell("...", id=f"dots-{i}") for i in range(1000)]
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = ANY
