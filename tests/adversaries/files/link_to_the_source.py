"""The notebook is a symbolic link to the instructor's own. (the grader may read it)"""

from tests.adversaries import FILE, NOTHING


def hand_in(folder, release):
    (folder / FILE).symlink_to(folder.parents[2] / "source" / folder.name / FILE)


POINTS = NOTHING
FLAG = "problem"
