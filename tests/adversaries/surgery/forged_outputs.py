"""Comes with outputs of passed tests, scores as results, and counts. (a notebook that looks executed)"""

from nbformat.v4 import new_output

from tests.adversaries import ANY, FILE, NOTHING, WRONG, fill, save


def hand_in(folder, release):
    notebook = fill(release, WRONG)
    for cell in notebook.cells:
        if cell.id.startswith("test-"):
            cell.execution_count = 5
            cell.outputs = [
                new_output("stream", name="stdout", text=f"{cell.id}: 9 checks passed.\n"),
                new_output("execute_result", execution_count=5, data={"text/plain": "100"}),
            ]
    save(notebook, folder / FILE)


POINTS = NOTHING
FLAG = ANY
