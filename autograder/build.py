"""From a lesson's source to the notebook that students open.

source -> instructor notebook (nbgrader metadata) -> nbgrader's own `generate_assignment` -> leak scan -> release.
A pure function of the sources: the same input gives the same bytes, cell ids included.
"""

from __future__ import annotations

import ast
import hashlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.preprocessors import ClearSolutions
from traitlets.config import Config

from autograder.course import Course, configure
from autograder.leaks import Leak, scan
from autograder.source import Cell, Lesson
from llmsys.release import Placed, place, stamp

ANSWER_STUB = "*Write your answer here.*"


class BuildError(RuntimeError):
    """A release that must not leave the house; its text says why."""


@dataclass(frozen=True)
class Built:
    """A release, and what became of it where students open it."""

    lesson: Lesson
    placed: Placed


def build(lessons: Sequence[Lesson], course: Course, notebooks: Path) -> list[Built]:
    """Build `lessons` into the course directory (source/, release/, gradebook) and into `notebooks`.

    Raises:
        BuildError: nbgrader refused an assignment, or a release holds what students must not see.
    """
    for assignment in dict.fromkeys(lesson.assignment for lesson in lessons):
        members = [lesson for lesson in lessons if lesson.assignment == assignment]
        for lesson in members:
            _write(instructor_notebook(lesson), course.source_path(lesson.assignment, lesson.name))
        course.generate_release(assignment)
    built = []
    for lesson in lessons:
        path = course.release_path(lesson.assignment, lesson.name)
        release = stamp(nbformat.read(path, as_version=4))
        _refuse_leaks(lesson, scan(lesson, release))
        _write(release, path)
        built.append(Built(lesson, place(path, notebooks / lesson.assignment / f"{lesson.name}.ipynb")))
    return built


def release_bytes(lessons: Sequence[Lesson]) -> dict[str, bytes]:
    """``assignment/lesson`` -> the bytes of its release, built in a scratch course that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="autograder-build-") as scratch:
        root = Path(scratch)
        build(lessons, Course(root / "course"), root / "notebooks")
        return {
            lesson.id: (root / "notebooks" / lesson.assignment / f"{lesson.name}.ipynb").read_bytes()
            for lesson in lessons
        }


def _refuse_leaks(lesson: Lesson, leaks: list[Leak]) -> None:
    if leaks:
        found = "\n".join(f"  {leak}" for leak in leaks)
        raise BuildError(f"{lesson.id}: the release holds what students must not see:\n{found}")


def _write(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


# ---------------------------------------------------------------- cells


def instructor_notebook(lesson: Lesson) -> NotebookNode:
    """The notebook with solutions and hidden tests, in nbgrader's own metadata."""
    names = _Names()
    cells = [built for cell in lesson.cells for built in _cells(lesson, cell, names)]
    metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "llmsys": {"assignment": lesson.assignment, "lesson": lesson.name},
        "title": lesson.title,
    }
    return new_notebook(cells=cells, metadata=metadata)


def _cells(lesson: Lesson, cell: Cell, names: _Names) -> list[NotebookNode]:
    name = names.of(cell)
    source = instructor_source(lesson, cell)
    match cell.kind:
        case "prose":
            return [new_markdown_cell(source, id=name)]
        case "given":
            return [_code(source, name, _nbgrader(f"given_{name}", locked=True))]
        case "exercise":
            return [_code(source, name, _nbgrader(cell.name, solution=True))]
        case "test":
            return [_code(source, name, _nbgrader(f"test_{cell.name}", grade=True, locked=True, points=cell.points))]
        case "explore":
            return [new_code_cell(source, id=name, metadata={"tags": ["explore", "skip-execution"]})]
        case "question":
            task = _nbgrader(cell.name, task=True, locked=True, points=cell.points)
            return [
                new_markdown_cell(source, id=name, metadata={"nbgrader": task}),
                new_markdown_cell(ANSWER_STUB, id=f"answer-{cell.name}", metadata={"tags": ["answer"]}),
            ]


def _code(source: str, name: str, nbgrader: dict[str, Any]) -> NotebookNode:
    return new_code_cell(source, id=name, metadata={"nbgrader": nbgrader})


def _nbgrader(grade_id: str, **roles: Any) -> dict[str, Any]:
    return {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False} | {
        "grade_id": grade_id,
        **roles,
    }


def instructor_source(lesson: Lesson, cell: Cell) -> str:
    """The cell as it runs: a badge on top of an exercise, the count of checks at the end of a test."""
    if cell.kind == "exercise":
        return f"{_badge(lesson, cell)}\n{cell.source}"
    if cell.kind == "test":
        return f'{cell.source}\ncheck.passed("{cell.name}")'
    return cell.source


def release_source(lesson: Lesson, cell: Cell) -> str:
    """The exercise cell as students get it, made by nbgrader's own preprocessor."""
    node = _code(instructor_source(lesson, cell), "cell", _nbgrader(cell.name, solution=True))
    cleared, _ = ClearSolutions(config=configure(Config())).preprocess_cell(node, {"language": "python"}, 0)
    return str(cleared.source)


def _badge(lesson: Lesson, cell: Cell) -> str:
    number = [c.name for c in lesson.of_kind("exercise")].index(cell.name) + 1
    dots = "●" * cell.difficulty + "○" * (5 - cell.difficulty)
    points = lesson.test_of(cell.name).points
    unit = "point" if points == 1 else "points"
    return f"# Exercise {number}: {cell.name} | {cell.minutes:g} min | difficulty {dots} | {points:g} {unit}"


class _Names:
    """Ids that stay when cells are inserted or edited around a cell: after its name, what it defines, or its text."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, cell: Cell) -> str:
        stem = self._stem(cell)
        name, n = stem, 1
        while name in self._taken:
            n += 1
            name = f"{stem}-{n}"
        self._taken.add(name)
        return name

    def _stem(self, cell: Cell) -> str:
        if cell.kind in ("exercise", "test", "question"):
            return f"{cell.kind}-{cell.name}"[:60]
        if cell.kind == "given" and (defined := _first_definition(cell.source)):
            return defined[:60]
        return f"{cell.kind}-{hashlib.sha256(cell.source.encode()).hexdigest()[:8]}"


def _first_definition(source: str) -> str:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            return "imports"
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            return re.sub(r"[^A-Za-z0-9_-]", "", node.name)
    return ""
