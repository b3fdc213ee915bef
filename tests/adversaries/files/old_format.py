"""Saved in notebook format 3. (a very old editor)"""

import json

import nbformat

from tests.adversaries import FILE, FULL, RIGHT, fill


def hand_in(folder, release):
    old = nbformat.convert(nbformat.from_dict(json.loads(json.dumps(fill(release, RIGHT)))), 3)
    (folder / FILE).write_text(json.dumps(old))


# nbformat brings it up to date; what it loses on the way has to be repaired, or told.
POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = {"repaired", "problem"}
