"""The folder of the submission is a symbolic link to the instructor's. (one level higher)"""

from tests.adversaries import NOTHING


def hand_in(folder, release):
    folder.rmdir()
    folder.symlink_to(folder.parents[2] / "source" / folder.name)


POINTS = NOTHING
FLAG = "problem"
