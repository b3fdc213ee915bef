"""The tests became Markdown, raw and unknown cells, and the answers are wrong. (what is no code is not run)"""

from tests.adversaries import FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    tests = [cell for cell in notebook.cells if cell.id.startswith("test-")]
    for cell, kind in zip(tests, ["markdown", "raw", "markdown", "raw", "heading"], strict=True):
        cell.cell_type = kind
        del cell["outputs"], cell["execution_count"]
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = {"repaired", "problem"}
