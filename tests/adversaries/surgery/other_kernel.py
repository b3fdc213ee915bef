"""Names another kernel and another language. (made in an environment of its own)"""

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.metadata["kernelspec"] = {"name": "../../evil", "display_name": "R", "language": "R"}
    notebook.metadata["language_info"] = {"name": "R"}
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = ANY
