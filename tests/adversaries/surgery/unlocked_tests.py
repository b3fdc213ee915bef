"""The tests were made solution cells, so that their sources are the student's own. (locked: false)"""

from nbgrader.utils import compute_checksum

from tests.adversaries import FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    for cell in notebook.cells:
        if cell.id.startswith("test-"):
            cell.source = "pass"
            cell.metadata["nbgrader"] |= {"locked": False, "solution": True}
            cell.metadata["nbgrader"]["checksum"] = compute_checksum(cell)
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = "repaired"
