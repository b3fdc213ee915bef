"""A hundred thousand nested lists in the metadata. (a parser recurses)"""

import json

from tests.adversaries import FILE, FULL, RIGHT, fill


def hand_in(folder, release):
    notebook = fill(release, RIGHT)
    notebook.metadata["deep"] = "HERE"
    text = json.dumps(notebook).replace('"HERE"', "[" * 100_000 + "]" * 100_000)
    (folder / FILE).write_text(text)


POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = {"repaired", "problem"}
