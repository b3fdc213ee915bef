"""The file ends in its middle. (the upload broke)"""

from tests.adversaries import FILE, NOTHING, RIGHT, fill, save


def hand_in(folder, release):
    save(fill(release, RIGHT), folder / FILE)
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[: len(content) // 2])


POINTS = NOTHING
FLAG = "problem"
