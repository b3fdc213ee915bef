"""Writes what it read into files beside the notebook, to be fetched with the feedback. (a notebook, a page, a note)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import inspect
import json
from pathlib import Path

def scale(x):
    for caller in inspect.stack():
        try:
            source = inspect.getsource(caller.frame)
        except (OSError, TypeError):
            continue
        if "check." in source:
            for name in ("lesson.ipynb", "lesson.html", "notes.txt", "../told.txt", "/tmp/told.txt"):
                try:
                    Path(name).write_text(json.dumps({"cells": [], "told": source}))
                except OSError:
                    pass
    return x * 3
"""
}
POINTS = FULL | {"scale": {0, 2}}  # what it reaches for is refused with an error, in the middle of its answer
FLAG = ODD
