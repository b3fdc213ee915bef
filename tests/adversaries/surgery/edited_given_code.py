"""The given cells were edited: the helper of the tests agrees with everything. (locked means little to an editor)"""

from tests.adversaries import FILE, FULL, RIGHT, WRONG, cell_of, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT | {"ancestors": WRONG["ancestors"]})
    cell_of(notebook, "Node").source += "\n\n\ndef agree(found, expected, call):\n    pass\n"
    cell_of(notebook, "imports").source += "\ncheck.that = lambda *args: None\n"
    save(notebook, folder / FILE)


POINTS = FULL | {"ancestors": 0}
FLAG = "repaired"
