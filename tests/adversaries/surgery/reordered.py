"""All cells stand in reverse order. (dragged around)"""

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.cells.reverse()
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
