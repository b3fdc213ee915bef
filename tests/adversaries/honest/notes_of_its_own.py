"""The reference answers, with Markdown notes, empty cells and a picture pasted in between. (a notebook)"""

from nbformat.v4 import new_code_cell, new_markdown_cell

from tests.adversaries import FILE, FULL, RIGHT, fill, save

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    note = new_markdown_cell(
        "My **notes**: $3x$ ![](pixel.png)", id="note", attachments={"pixel.png": {"image/png": PIXEL}}
    )
    notebook.cells[2:2] = [note, new_code_cell("", id="empty-1")]
    notebook.cells.append(new_code_cell("# done!", id="empty-2"))
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = None
