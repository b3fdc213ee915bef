"""Lone surrogates in a note, an answer and the metadata. (an emoji cut in two)"""

from nbformat.v4 import new_markdown_cell

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save


def hand_in(folder, release):
    notebook = fill(release, RIGHT | {"twice": RIGHT["twice"] + "\nsmile = '\ud83d'\n"})
    notebook.cells.append(new_markdown_cell("a note \udc00", id="note"))
    notebook.metadata["title"] = "\ud800"
    save(notebook, folder / FILE)


# JSON can say it and UTF-8 can't: to mend it and to refuse it are both right.
POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = ANY
