"""The notebook may be read by nobody. (chmod)"""

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    save(fill(release, RIGHT), folder / FILE)
    (folder / FILE).chmod(0)


# An administrator reads it all the same.
POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = ANY
