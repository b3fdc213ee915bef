"""The tests' sources were replaced, and checksums computed to match. (nbgrader compares checksums)"""

from nbgrader.utils import compute_checksum

from tests.adversaries import FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    for cell in notebook.cells:
        if cell.id.startswith("test-"):
            cell.source = f'check.passed("{cell.id.removeprefix("test-")}")'
            cell.metadata["nbgrader"]["checksum"] = compute_checksum(cell)
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = "repaired"
