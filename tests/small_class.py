"""A class of eight for the small lesson, and all that grading leaves of it, to be compared between runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbgrader.api import Comment, Grade, SubmittedNotebook

from autograder.course import Course
from autograder.gradebook import recorded_flags

RIGHT = {"double": "def double(x): return 2 * x", "triple": "def triple(x): return 3 * x"}
STUDENTS = {
    "ada": RIGHT,
    "bob": RIGHT | {"double": "def double(x): return x * x"},
    "cleo": RIGHT | {"triple": "def triple(x): return x + 4"},
    "dan": {},
    "eve": RIGHT | {"double": "import gc\ngc.get_objects()\ndef double(x): return 2 * x"},
    "fay": RIGHT | {"triple": "import os\nos._exit(3)"},
    "gus": RIGHT | {"double": "print('much ' * 50)\ndef double(x):\n    return x << 1"},
    "hal": RIGHT | {"double": "import torch\ntorch.equal = lambda *a: True\ndef double(x): return 5"},
}
SEED = 20


def hand_in_all(hand_in: Callable[..., Path]) -> None:
    """Everybody hands in; bob two hours too late for a due date of noon."""
    for student, answers in STUDENTS.items():
        path = hand_in(student, **answers)
        hour = 14 if student == "bob" else 11
        path.with_name("timestamp.txt").write_text(f"2030-03-01 {hour}:00:00 UTC\n")


def state_of(course: Course) -> dict[str, Any]:
    """All that has to be the same whatever became of the runs before the last."""
    with course.gradebook() as book:
        flags = recorded_flags(book)
    return {"gradebook": gradebook_of(course), "flags": flags, "autograded": autograded_of(course)}


def left_behind(course: Course) -> list[Path]:
    """Files that are there for a moment only, and that no run may leave."""
    unfinished = [path for path in course.root.rglob("*") if path.name.startswith(".new-") or path.suffix == ".part"]
    return [*unfinished, *course.root.glob(".autograder/results/*")]


def gradebook_of(course: Course) -> dict[str, Any]:
    """Every grade, comment and penalty in the gradebook."""
    with course.gradebook() as book:
        grades = {
            f"{g.student.id}/{g.notebook.name}/{g.name}": [g.auto_score, g.manual_score, g.score, g.needs_manual_grade]
            for g in book.db.query(Grade)
        }
        comments = {
            f"{c.student.id}/{c.notebook.name}/{c.name}": [c.auto_comment, c.manual_comment]
            for c in book.db.query(Comment)
        }
        notebooks = {
            f"{n.student.id}/{n.name}": [n.score, n.late_submission_penalty] for n in book.db.query(SubmittedNotebook)
        }
    return {"grades": grades, "comments": comments, "notebooks": notebooks}


def autograded_of(course: Course) -> dict[str, Any]:
    """Every file below ``autograded/``; of notebooks without how long their cells took."""
    root = course.root / "autograded"
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): _content(path) for path in files}


def _content(path: Path) -> Any:
    if path.suffix != ".ipynb":
        return path.read_bytes()
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        cell["metadata"].get("autograder", {}).pop("seconds", None)
    return notebook
