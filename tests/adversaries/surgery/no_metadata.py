"""Another editor dropped all metadata, but kept the cells' ids. (not every editor keeps what it does not know)"""

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.metadata = {}
    for cell in notebook.cells:
        cell.metadata = {}
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
