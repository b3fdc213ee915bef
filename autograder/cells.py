"""What the cells of a built notebook are: given, an answer, a test or something of the student's own."""

from __future__ import annotations

import symtable
from typing import Literal

from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_locked, is_solution

Kind = Literal["given", "answer", "test", "own"]


def runs_when_grading(cell: NotebookNode) -> bool:
    """A code cell that is no demonstration. A tag never exempts a cell that nbgrader knows."""
    explore = "explore" in cell.metadata.get("tags", []) and "nbgrader" not in cell.metadata
    return cell.cell_type == "code" and bool(cell.source.strip()) and not explore


def kind_of(cell: NotebookNode) -> Kind:
    """What a code cell is, by its nbgrader metadata."""
    if is_grade(cell) and not is_solution(cell):
        return "test"
    if is_solution(cell):
        return "answer"
    return "given" if is_locked(cell) else "own"


def grade_id(cell: NotebookNode) -> str:
    """The name by which nbgrader knows the cell, "" where it knows none."""
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def cells_of(notebook: NotebookNode) -> dict[str, tuple[str, str]]:
    """The code cells that nbgrader knows: grade_id -> (kind, source)."""
    return {grade_id(c): (kind_of(c), c.source) for c in notebook.cells if c.cell_type == "code" and grade_id(c)}


def exercise_of(test_id: str) -> str:
    """The exercise that the test cell with this grade_id belongs to."""
    return test_id.removeprefix("test_")


def bound_names(source: str) -> list[str]:
    """The names that running `source` binds in a notebook's namespace; none where it is no Python."""
    try:
        table = symtable.symtable(source, "cell", "exec")
    except SyntaxError:
        return []
    return sorted(s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace())
