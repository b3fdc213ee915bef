"""Feedback: nbgrader's HTML, without a byte of hidden tests, mark schemes or their stacks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, NbGraderPreprocessor
from nbgrader.utils import is_locked, is_task

from autograder.course import Course, CourseError

_FRAME = re.compile(r"^Cell In\s*\[(\d+)\]")


def generate(course: Course, submissions: Iterable[tuple[str, str]]) -> None:
    """Write ``feedback/<student>/<assignment>/*.html`` for each (student, assignment).

    Raises:
        CourseError: nbgrader could not; the text holds its log.
    """
    api = course.api()
    for student, assignment in submissions:
        if not course.autograded_path(student, assignment).exists():
            continue  # nothing readable was handed in, so there is nothing to comment on
        result = api.generate_feedback(assignment, student, force=True)
        if not result["success"]:
            raise CourseError(f"{student}, {assignment}: no feedback:\n{result['error']}")


class HideInstructorParts(NbGraderPreprocessor):
    """Remove hidden tests and mark schemes, and from each traceback the frames that would quote them."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        locked = {cell.get("execution_count") for cell in nb.cells if cell.cell_type == "code" and is_locked(cell)}
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    output.traceback = _own_frames(output.traceback, locked)
        nb, resources = ClearHiddenTests(parent=self).preprocess(nb, resources)
        for index, cell in enumerate(nb.cells):
            if is_task(cell):
                ClearMarkScheme(parent=self).preprocess_cell(cell, resources, index)
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: Any, cell_index: int) -> tuple[NotebookNode, Any]:
        return cell, resources


def _own_frames(traceback: list[str], locked: set[int | None]) -> list[str]:
    """`traceback` without the frames of locked cells (tests among them). IPython gives one entry per frame."""
    kept = []
    for entry in traceback:
        frame = _FRAME.match(strip_ansi(entry))
        if not frame or int(frame[1]) not in locked:
            kept.append(entry)
    return kept
