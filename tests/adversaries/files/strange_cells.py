"""Cells without source, with null, numbers and lists where text should be, and of no type. (a broken plug-in)"""

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.cells += [
        {"cell_type": "code"},
        {"cell_type": "code", "source": None, "metadata": None, "outputs": None, "id": 7},
        {"cell_type": "markdown", "source": [1, ["a"]], "metadata": {"tags": "skip"}},
        {"source": "pass"},
    ]
    save(notebook, folder / FILE)


POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = ANY  # nothing of the lesson was touched
