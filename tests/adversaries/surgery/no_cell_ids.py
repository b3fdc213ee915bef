"""Another editor saved it in format 4.4, which has no cell ids, and kept the metadata. (an older version)"""

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        del cell["id"]
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = ANY
