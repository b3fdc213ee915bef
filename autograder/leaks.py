"""Does a release hold anything that students must not see?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from nbformat import NotebookNode

from autograder.source import HIDDEN, MARK_SCHEME, SOLUTION, Lesson

Kind = Literal["solution line", "hidden-test line", "mark-scheme line", "output", "instructor metadata"]

_SECRET: dict[str, Kind] = {
    SOLUTION: "solution line",
    HIDDEN: "hidden-test line",
    MARK_SCHEME: "mark-scheme line",
}
_CELL_METADATA = {"deletable", "editable", "nbgrader", "tags"}
_NBGRADER_METADATA = {
    *("schema_version", "grade", "solution", "locked", "task", "grade_id", "points", "checksum", "cell_type")
}
_NOTEBOOK_METADATA = {"kernelspec", "language_info", "llmsys", "title"}
_TAGS = {"explore", "skip-execution", "answer"}


@dataclass(frozen=True)
class Leak:
    """Something in cell `cell` (its id, or "notebook") that students must not see."""

    kind: Kind
    cell: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind} in cell {self.cell!r}: {self.text}"


def scan(lesson: Lesson, release: NotebookNode) -> list[Leak]:
    """Every leak in `release`: secret lines anywhere in it (metadata and outputs too), outputs, instructor metadata."""
    secrets = _secret_lines(lesson)
    leaks = [Leak("instructor metadata", "notebook", key) for key in set(release.metadata) - _NOTEBOOK_METADATA]
    for text in _strings(release.metadata):
        leaks += _secrets_in(text, secrets, "notebook")
    for cell in release.cells:
        leaks += _cell_leaks(cell, secrets)
    return sorted(leaks, key=lambda leak: (leak.cell, leak.kind, leak.text))


def _cell_leaks(cell: NotebookNode, secrets: dict[str, Kind]) -> Iterator[Leak]:
    for text in _strings(cell):
        yield from _secrets_in(text, secrets, cell.id)
    if cell.get("outputs") or cell.get("execution_count"):
        yield Leak("output", cell.id, str(cell.get("outputs"))[:120])
    unknown = set(cell.metadata) - _CELL_METADATA
    unknown |= {f"nbgrader.{key}" for key in set(cell.metadata.get("nbgrader", {})) - _NBGRADER_METADATA}
    unknown |= {f"tag {tag}" for tag in set(cell.metadata.get("tags", [])) - _TAGS}
    unknown |= {"attachments"} if cell.get("attachments") else set()
    for key in unknown:
        yield Leak("instructor metadata", cell.id, key)


def _secret_lines(lesson: Lesson) -> dict[str, Kind]:
    """Lines of secret blocks that tell something: long enough, and not part of what students see anyway."""
    visible = "\n".join(_plain(line) for cell in lesson.cells for line in cell.without(*_SECRET).split("\n"))
    return {
        line: kind
        for block, kind in _SECRET.items()
        for cell in lesson.cells
        for line in map(_plain, cell.inside(block))
        if len(re.findall(r"\w", line)) >= 6 and line not in visible
    }


def _secrets_in(text: str, secrets: dict[str, Kind], cell: str) -> Iterator[Leak]:
    plain = "\n".join(map(_plain, text.split("\n")))
    return (Leak(kind, cell, line) for line, kind in secrets.items() if line in plain)


def _plain(line: str) -> str:
    """Without indentation, comment sign and runs of blanks: a secret that is quoted or re-indented is still one."""
    return re.sub(r"\s+", " ", line.strip().lstrip("#").strip())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
