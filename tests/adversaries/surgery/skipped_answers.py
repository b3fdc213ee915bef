"""A tag on the right answers says that they are to be skipped, as on a demonstration. (copied a cell's metadata)"""

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    for cell in notebook.cells:
        if cell.id.startswith("exercise-"):
            cell.metadata["tags"] = ["explore", "skip-execution"]
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = ANY
