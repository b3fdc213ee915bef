"""Two notebooks: wrong answers under the right name, right ones in a copy. (which one counts?)"""

from tests.adversaries import ANY, FILE, NOTHING, RIGHT, WRONG, fill, save


def hand_in(folder, release):
    save(fill(release, WRONG), folder / FILE)
    save(fill(release, RIGHT), folder / "lesson-Copy1.ipynb")
    (folder / ".ipynb_checkpoints").mkdir()
    save(fill(release, RIGHT), folder / ".ipynb_checkpoints" / "lesson-checkpoint.ipynb")


POINTS = NOTHING
FLAG = ANY
