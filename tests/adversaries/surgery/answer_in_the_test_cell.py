"""A right answer was written into the test's cell, above the checks; its own cell is as released. (the wrong cell)"""

from tests.adversaries import FILE, FULL, RIGHT, cell_of, fill, save


def hand_in(folder, release):
    notebook = fill(release, {exercise: code for exercise, code in RIGHT.items() if exercise != "twice"})
    test = cell_of(notebook, "test-twice")
    test.source = RIGHT["twice"] + "\n\n" + test.source
    save(notebook, folder / FILE)


POINTS = FULL | {"twice": 0}
FLAG = "repaired"
