"""A notebook without any cell. (select all, delete)"""

from tests.adversaries import FILE, NOTHING, save


def hand_in(folder, release):
    release.cells = []
    save(release, folder / FILE)


POINTS = NOTHING
FLAG = "repaired"
