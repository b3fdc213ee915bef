"""A folder has the notebook's name, and the notebook is in it. (unpacked twice)"""

from tests.adversaries import FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    (folder / FILE).mkdir()
    save(fill(release, RIGHT), folder / FILE / FILE)


POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = {"repaired", "problem"}
