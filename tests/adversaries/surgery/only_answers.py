"""Nothing but the five right answers: prose, given code and tests are gone. (sent what was asked for)"""

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.cells = [cell for cell in notebook.cells if cell.id.startswith("exercise-")]
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = "repaired"
