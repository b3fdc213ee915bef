"""NUL bytes in one answer and in a note. (a broken disk)"""

from nbformat.v4 import new_markdown_cell

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT | {"twice": RIGHT["twice"] + "\n# \0\0\0\n"})
    notebook.cells.append(new_markdown_cell("a note \0", id="note"))
    save(notebook, folder / FILE)


POINTS = FULL | {"twice": 0}
FLAG = ANY
