"""Carries verdicts in the metadata that the autograder writes: passed, with credits beyond all bounds. (if it trusts
what it reads back)"""

from tests.adversaries import ANY, FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    notebook.metadata["autograder"] = {"seed": 1, "isolation": "none", "flags": [], "key": "0" * 64}
    tests = [cell for cell in notebook.cells if cell.id.startswith("test-")]
    for cell, credit in zip(tests, [1, 1e9, float("inf"), float("nan"), -1], strict=True):
        cell.metadata["autograder"] = {"status": "passed", "seconds": 0, "message": "", "credit": credit}
        cell.metadata["autograder"]["carried"] = True
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = ANY
