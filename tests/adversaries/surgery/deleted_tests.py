"""All test cells are gone, and the answers are wrong. (no test, no failure)"""

from tests.adversaries import FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("test-")]
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = "repaired"
