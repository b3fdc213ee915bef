"""Adds graded cells of its own, one of them worth 100 points, that always pass. (a bonus)"""

from nbformat.v4 import new_code_cell

from tests.adversaries import FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    for grade_id in ("bonus", "test_bonus", "test_scale_2"):
        role = {"grade": True, "solution": False, "locked": True, "task": False, "schema_version": 3}
        mark = role | {"grade_id": grade_id, "points": 100, "cell_type": "code", "checksum": "0" * 32}
        notebook.cells.append(new_code_cell("pass", id=grade_id, metadata={"nbgrader": mark}))
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = "repaired"
