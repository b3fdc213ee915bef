"""Puts scripts into Markdown cells of its own, attachments and cell metadata. (pages render Markdown)"""

from nbformat.v4 import new_markdown_cell, new_raw_cell

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill, save

ACT = "adversary(2)"


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.cells.insert(1, new_markdown_cell(f"<script>{ACT}</script>\n\n[click](javascript:{ACT})\n\n", id="m1"))
    notebook.cells.insert(2, new_markdown_cell(f"<img src=x onerror='{ACT}'><svg onload='{ACT}'></svg>", id="m2"))
    notebook.cells.insert(
        3, new_markdown_cell(f"<style>* {{ display: none }}</style></textarea></title><b {ACT}>", id="m3")
    )
    notebook.cells.insert(4, new_raw_cell(f"<script>{ACT}</script>", id="r1", metadata={"format": "text/html"}))
    notebook.metadata["title"] = f"</title><script>{ACT}</script>"
    notebook.metadata["authors"] = [{"name": f"<script>{ACT}</script>"}]
    notebook.cells[1].attachments = {"x.svg": {"image/svg+xml": f"<svg onload='{ACT}'></svg>"}}
    save(notebook, folder / FILE)


POINTS = FULL
FLAG = ANY
SECRETS = [
    f"<script>{ACT}",
    f"onerror='{ACT}",
    f'onerror="{ACT}',
    f"onload='{ACT}",
    f'onload="{ACT}',
    f"href='javascript:{ACT}",
    f'href="javascript:{ACT}',
]
