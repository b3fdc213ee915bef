"""A notebook of 20 MB: a film is attached to a note. (drag and drop)"""

from nbformat.v4 import new_markdown_cell

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    film = {"film.mp4": {"video/mp4": "A" * (20 << 20)}}
    notebook.cells.append(new_markdown_cell("![](attachment:film.mp4)", id="film", attachments=film))
    save(notebook, folder / FILE)


POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = ANY
