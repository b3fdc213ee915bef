"""Neither metadata nor cell ids are left. (exported to a script and back)"""

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.metadata = {}
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        cell.metadata = {}
        del cell["id"]
    save(notebook, folder / FILE)


# To match the cells by their text is more than can be asked; to say nothing is not enough.
POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = {"repaired", "problem"}
