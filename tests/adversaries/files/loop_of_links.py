"""A link that points to itself beside the notebook, and links out of the folder. (a copy follows them)"""

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    save(fill(release, RIGHT), folder / FILE)
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to("../../..")
    (folder / "passwords").symlink_to("/etc/passwd")
    (folder / "..data").write_text("a name that begins with two dots")


POINTS = FULL
FLAG = ANY
