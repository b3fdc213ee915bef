"""A file of no bytes. (the disk was full)"""

from tests.adversaries import FILE, NOTHING


def hand_in(folder, release):
    (folder / FILE).touch()


POINTS = NOTHING
FLAG = "problem"
