"""Submissions whose right verdict is known: one small file each, in a folder for each family of trouble.

A file says what is handed in, and what is due for it:

    \"\"\"One sentence: what it does. (why somebody would)\"\"\"
    ANSWERS = RIGHT | {"scale": "..."}        exercise -> its cell; a cell that is not named stays as released
    EXTRA_CELLS = [("after", "exercise-scale", "...")]     cells of the student's own: (before or after, cell id, code)
    POINTS = FULL | {"scale": 0}              exercise -> points, or the set of those that can be defended
    FLAG = "suspicious"                       a kind of flag that is raised, or several of which one is;
                                              None: no flag at all; ANY: nothing is asked
    SECRETS = ["..."]                         must not be found in feedback, beside the hidden lines of the lesson
    STUDENT = "..."                           the name of the folder; default: family-file
    REFUSED = True                            nbgrader can't hold that name: said in one line, nothing recorded

In place of ANSWERS it may have ``hand_in(folder, release)``, which writes the submission's files itself.
"""

from __future__ import annotations

import copy
import json
import runpy
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from autograder.course import Course
from autograder.source import Lesson, read_lesson

HERE = Path(__file__).parent
LESSON: Lesson = read_lesson(HERE / "lesson.py")
FILE = f"{LESSON.name}.ipynb"

RIGHT: dict[str, str] = {cell.name: cell.without() for cell in LESSON.of_kind("exercise")}
FULL: dict[str, float] = {cell.name: cell.points for cell in LESSON.of_kind("test")}
NOTHING: dict[str, float] = dict.fromkeys(FULL, 0)

# Plausible, wrong, and none of them calls another: each earns nothing, also with the reference in the others' places.
WRONG: dict[str, str] = {
    "scale": "def scale(x):\n    return x * 2\n",
    "ancestors": "def ancestors(node):\n    return list(node.parents)\n",
    "twice": "def twice(f, x):\n    return f(x)\n",
    "grad": "def grad(f, x):\n    return torch.zeros_like(x)\n",
    "normalise": "def normalise(x):\n    return torch.softmax(x, -1)\n",
}

ANY = "any"
ODD = {"tampering", "suspicious"}  # seen by a static look or while running: either is right

ExtraCell = tuple[str, str, str]


@dataclass(frozen=True)
class Adversary:
    """A submission, and the verdict that is right."""

    family: str
    name: str
    student: str
    story: str
    points: Mapping[str, frozenset[float]]  # exercise -> the points that are right
    flags: frozenset[str] | None  # one of these kinds is raised; empty: none at all; None: nothing is asked
    secrets: tuple[str, ...]
    refused: bool
    answers: Mapping[str, str] | None  # None: `write` is the file's own
    write: Callable[[Path, NotebookNode], None]  # (folder of the submission, release)

    @property
    def id(self) -> str:
        return f"{self.family}/{self.name}"


def load_all(families: Iterable[str] = ()) -> list[Adversary]:
    """All submissions (of `families` alone, if given), by family and name."""
    wanted = set(families)
    paths = sorted(path for path in HERE.glob("*/*.py") if not wanted or path.parent.name in wanted)
    return [_load(path) for path in paths]


def hand_in(course: Course, adversary: Adversary) -> Path:
    """Write the submission into the course's ``submitted/``, where the lesson was built; returns its folder."""
    folder = course.submitted_path(adversary.student, LESSON.assignment)
    folder.mkdir(parents=True)
    adversary.write(folder, nbformat.read(course.release_path(LESSON.assignment, LESSON.name), as_version=4))
    return folder


def fill(release: NotebookNode, answers: Mapping[str, str], extra: Iterable[ExtraCell] = ()) -> NotebookNode:
    """A copy of `release` with `answers` in their cells and cells of the student's own put in."""
    notebook = copy.deepcopy(release)
    for exercise, code in answers.items():
        cell_of(notebook, f"exercise-{exercise}").source = textwrap.dedent(code).strip("\n")
    for number, (side, neighbour, code) in enumerate(extra):
        place = notebook.cells.index(cell_of(notebook, neighbour)) + (side == "after")
        notebook.cells.insert(place, new_code_cell(textwrap.dedent(code).strip("\n"), id=f"own-{number}"))
    return notebook


def cell_of(notebook: NotebookNode, cell_id: str) -> NotebookNode:
    """The cell of that id, e.g. ``"exercise-scale"``, ``"test-scale"``, ``"imports"`` or ``"Node"``."""
    return next(cell for cell in notebook.cells if cell.id == cell_id)


def save(notebook: Any, path: Path) -> None:
    """Write a notebook as it is, without nbformat's repairs."""
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def _load(path: Path) -> Adversary:
    said = runpy.run_path(str(path))
    family, name = path.parent.name, path.stem
    assert set(said["POINTS"]) == set(FULL), f"{path}: POINTS names other exercises than the lesson"
    answers = said.get("ANSWERS")
    return Adversary(
        family,
        name,
        student=said.get("STUDENT", f"{family}-{name}"),
        story=said["__doc__"].strip(),
        points={exercise: frozenset(_several(due)) for exercise, due in said["POINTS"].items()},
        flags=_flags(said["FLAG"]),
        secrets=tuple(said.get("SECRETS", ())),
        refused=said.get("REFUSED", False),
        answers=answers,
        write=said.get("hand_in") or _writer(answers, said.get("EXTRA_CELLS", ())),
    )


def _writer(answers: Mapping[str, str], extra: Iterable[ExtraCell]) -> Callable[[Path, NotebookNode], None]:
    return lambda folder, release: save(fill(release, answers, extra), folder / FILE)


def _flags(flag: str | Iterable[str] | None) -> frozenset[str] | None:
    if flag == ANY:
        return None
    return frozenset(() if flag is None else [flag] if isinstance(flag, str) else flag)


def _several(due: float | Iterable[float]) -> Iterable[float]:
    return [due] if isinstance(due, int | float) else due
