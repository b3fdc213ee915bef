"""The reference answers, executed, with outputs, execution counts and an editor's metadata. (saved as it was)"""

from nbformat.v4 import new_output

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    for count, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = count + 1
        cell.metadata["collapsed"] = False
        cell.metadata["execution"] = {"iopub.status.busy": "2024-01-01T00:00:00Z"}
        cell.outputs = [new_output("stream", name="stdout", text=f"{cell.id}: 3 checks passed.\n")]
    notebook.metadata["language_info"] |= {"version": "3.11.7", "file_extension": ".py"}
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = None
