"""Tags on tests and answers say that they are to be skipped, or may fail. (documented tags)"""

from tests.adversaries import FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    for cell in notebook.cells:
        if cell.id.startswith("test-"):
            cell.metadata["tags"] = ["skip-execution", "raises-exception", "explore", "remove-cell", "nbgrader-skip"]
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = "repaired"
