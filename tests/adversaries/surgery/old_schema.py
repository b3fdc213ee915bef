"""The cells' metadata claim to be of older and of unknown schemas. (another nbgrader)"""

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    marked = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    for cell, version in zip(marked, [1, 2, 99, "3", None] * len(marked), strict=False):
        cell.metadata["nbgrader"]["schema_version"] = version
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
