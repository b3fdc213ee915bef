"""The tests are worth 100, infinity, NaN, minus one and a string. (metadata is editable)"""

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    tests = [cell for cell in notebook.cells if cell.id.startswith("test-")]
    for cell, points in zip(tests, [100, float("inf"), float("nan"), -1, "many"], strict=True):
        cell.metadata["nbgrader"]["points"] = points
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
