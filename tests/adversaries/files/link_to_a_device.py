"""The notebook is a link to a device that never ends. (reads until memory is full)"""

from tests.adversaries import FILE, NOTHING


def hand_in(folder, release):
    (folder / FILE).symlink_to("/dev/zero")


POINTS = NOTHING
FLAG = "problem"
