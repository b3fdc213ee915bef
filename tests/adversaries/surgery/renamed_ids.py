"""Every grade id got a suffix, the cell ids stayed. (ran a script over it)"""

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata["nbgrader"]["grade_id"] += "_1"
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
