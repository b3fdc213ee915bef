"""Run a notebook's tests as a student would see them, without a course or a gradebook."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbgrader.utils import is_grade, is_solution

from autograder.execute import Settings, execute, score
from autograder.sandbox import Isolation, Limits, close_idle_workers


class NotebookError(ValueError):
    """A file that can't be validated; the text says which and why."""


@dataclass(frozen=True)
class Outcome:
    """What a test cell of the notebook said."""

    exercise: str
    points: float
    max_points: float
    message: str


def validate(path: Path, limits: Limits | None = None, isolation: Isolation = "warm") -> list[Outcome]:
    """Execute the notebook at `path` as grading would and return its test cells' outcomes.

    Raises:
        NotebookError: there is no such file, it is no notebook, or it has no test cell.
    """
    if not path.exists():
        raise NotebookError(f"{path}: no such file")
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat has no common base for what it raises
        raise NotebookError(f"{path}: not a notebook ({type(error).__name__})") from None
    settings = Settings(secrets.randbits(31), limits or Limits(), isolation)
    try:
        tests = [c for c in execute(notebook, settings).cells if is_grade(c) and not is_solution(c)]
    finally:
        close_idle_workers()
    if not tests:
        raise NotebookError(f"{path}: has no test cell; was it built by 'autograder build'?")
    return [
        Outcome(
            cell.metadata["nbgrader"]["grade_id"].removeprefix("test_"),
            score(cell),
            float(cell.metadata["nbgrader"]["points"]),
            cell.metadata["autograder"]["message"],
        )
        for cell in tests
    ]
