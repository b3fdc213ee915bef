"""A lesson's source: one percent-format script, read into cells and refused with file, line and reason when malformed.

The format is described in docs/writing_a_lesson.md. jupytext does the splitting, so that JupyterLab, which opens the
same file as a notebook, sees the same cells.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import jupytext

Kind = Literal["prose", "given", "exercise", "test", "explore", "question"]

SOLUTION, HIDDEN, MARK_SCHEME = "SOLUTION", "HIDDEN TESTS", "MARK SCHEME"
_BLOCK_BELONGS_IN: dict[str, Kind] = {SOLUTION: "exercise", HIDDEN: "test", MARK_SCHEME: "question"}
_BLOCK_MARK = re.compile(rf"### (BEGIN|END) ({SOLUTION}|{HIDDEN}|{MARK_SCHEME})\s*$")
_CELL_MARK = re.compile(r"^#\s*%%(?:\s|$)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_KEYS: dict[Kind, frozenset[str]] = {
    "exercise": frozenset({"exercise", "minutes", "difficulty"}),
    "test": frozenset({"test", "points"}),
    "question": frozenset({"question", "points"}),
}


class SourceError(ValueError):
    """A malformed source; its text is ``file:line: reason``."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}:{line}: {reason}")
        self.path, self.line, self.reason = path, line, reason

    def __reduce__(self) -> tuple[type[SourceError], tuple[Path, int, str]]:
        return SourceError, (self.path, self.line, self.reason)  # it comes back from another process


@dataclass(frozen=True)
class MarkedCell:
    """A cell of a percent script as jupytext splits it: its mark's metadata, its source and where that starts."""

    markdown: bool
    marks: dict[str, Any]
    source: str
    line: int  # of the cell's `# %%`, counted from 1


@dataclass(frozen=True)
class Cell:
    """A cell of a lesson, with what its mark says."""

    kind: Kind
    source: str
    line: int
    name: str = ""
    points: float = 0
    minutes: float = 0
    difficulty: int = 0

    def without(self, *blocks: str) -> str:
        """The source without the named blocks and without any block mark."""
        return "\n".join(text for text, block in _blocks(self.source) if block not in blocks)

    def inside(self, *blocks: str) -> list[str]:
        """The lines within the named blocks."""
        return [text for text, block in _blocks(self.source) if block in blocks]


@dataclass(frozen=True)
class Lesson:
    """A lesson read from its source."""

    path: Path
    title: str
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def assignment(self) -> str:
        return self.path.parent.name

    @property
    def id(self) -> str:
        return f"{self.assignment}/{self.name}"

    @property
    def cases_path(self) -> Path:
        return self.path.with_name(f"{self.name}_cases.py")

    def of_kind(self, kind: Kind) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == kind]

    def test_of(self, exercise: str) -> Cell:
        return next(cell for cell in self.cells if cell.kind == "test" and cell.name == exercise)


def find_lessons(solutions: Path, wanted: Sequence[str] = ()) -> list[Path]:
    """Sources under `solutions`, in syllabus order; `wanted` picks by assignment, lesson or ``assignment/lesson``.

    Raises:
        FileNotFoundError: nothing matches one of `wanted`; the message lists what there is.
    """
    paths = sorted(p for p in solutions.glob("*/*.py") if not p.stem.endswith("_cases"))
    if not wanted:
        return _by_syllabus(paths)
    chosen: set[Path] = set()
    for name in wanted:
        matching = {p for p in paths if name in (p.parent.name, p.stem, f"{p.parent.name}/{p.stem}")}
        if not matching:
            known = ", ".join(f"{p.parent.name}/{p.stem}" for p in paths) or "none"
            raise FileNotFoundError(f"no lesson or assignment called {name!r} in {solutions} (there is: {known})")
        chosen |= matching
    return _by_syllabus(sorted(chosen))


def _by_syllabus(paths: list[Path]) -> list[Path]:
    """Lessons of one assignment stand in the order of the numbers in their titles ("# 2.1 ..."), then by name."""
    return sorted(paths, key=lambda p: (p.parent.name, _first_line(p), p.stem))


def _first_line(path: Path) -> str:
    found = re.search(r"^# # (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def read_cells(path: Path) -> list[MarkedCell]:
    """Split a percent script into its cells.

    Raises:
        SourceError: the file does not start with a cell mark, or can't be decoded.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(path, 1, f"is not UTF-8 text ({error.reason})") from None
    starts = [number for number, line in enumerate(text.splitlines(), 1) if _CELL_MARK.match(line)]
    if not starts or text.splitlines()[: starts[0] - 1]:
        raise SourceError(path, 1, "a source starts with a cell mark, '# %%' or '# %% [markdown]'")
    # Without magics a comment stays a comment: "# ls is short for list" is no command to the shell.
    notebook = jupytext.reads(text, fmt={"extension": ".py", "format_name": "percent", "comment_magics": False})
    assert len(notebook.cells) == len(starts), f"{path}: jupytext sees other cells than their marks"
    return [
        MarkedCell(cell.cell_type == "markdown", _marks(cell.metadata), cell.source, line)
        for cell, line in zip(notebook.cells, starts, strict=True)
    ]


def _marks(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the author wrote behind `# %%`; a bare word (`explore`) is what jupytext calls the cell's title."""
    marks = {key: value for key, value in metadata.items() if key != "lines_to_next_cell"}
    if title := marks.pop("title", None):
        marks[title] = True
    return marks


def read_lesson(path: Path) -> Lesson:
    """Read and check a lesson.

    Raises:
        SourceError: at the first thing that is wrong.
    """
    cells = [_cell(path, marked) for marked in read_cells(path)]
    _check_pairs(path, cells)
    _check_imports(path, cells)
    return Lesson(path, _title(path, cells), tuple(cells))


# ---------------------------------------------------------------- one cell


def _cell(path: Path, marked: MarkedCell) -> Cell:
    marks = dict(marked.marks)
    kind = _kind(path, marked)
    cell = Cell(
        kind,
        marked.source,
        marked.line,
        name=str(marks.get(kind, "")) if kind in _KEYS else "",
        points=_number(path, marked, "points", low=0) if kind in ("test", "question") else 0,
        minutes=_number(path, marked, "minutes", low=0) if kind == "exercise" else 0,
        difficulty=int(_number(path, marked, "difficulty", low=0, high=5)) if kind == "exercise" else 0,
    )
    if kind in _KEYS and not _NAME.fullmatch(cell.name):
        raise SourceError(path, cell.line, f"{kind}={cell.name!r}: a name is a Python identifier")
    _check_blocks(path, cell)
    if not marked.markdown:
        _check_code(path, cell)
    return cell


def _kind(path: Path, marked: MarkedCell) -> Kind:
    roles = [role for role in ("exercise", "test", "explore", "question") if role in marked.marks]
    if len(roles) > 1:
        raise SourceError(path, marked.line, f"a cell has one role, not {' and '.join(roles)}")
    kind: Kind = roles[0] if roles else "prose" if marked.markdown else "given"
    unknown = sorted(set(marked.marks) - _KEYS.get(kind, frozenset({"explore"} if kind == "explore" else ())))
    if unknown:
        raise SourceError(path, marked.line, f"unknown mark {unknown[0]!r} on a cell of kind {kind}")
    if marked.markdown != (kind in ("prose", "question")):
        wanted = "markdown" if kind == "question" else "code"
        raise SourceError(path, marked.line, f"a cell of kind {kind} is a {wanted} cell")
    return kind


def _number(path: Path, marked: MarkedCell, key: str, low: float, high: float = float("inf")) -> float:
    value = marked.marks.get(key)
    if value is None:
        raise SourceError(path, marked.line, f"{key} missing, e.g. {key}=3")
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value <= high:
        limit = f" and at most {high:g}" if high < float("inf") else ""
        raise SourceError(path, marked.line, f"{key}={value!r}: a number above {low:g}{limit}")
    return value


def _blocks(source: str) -> Iterator[tuple[str, str]]:
    """(line, name of the block it is in or ""), block marks left out."""
    block = ""
    for line in source.split("\n"):
        mark = _BLOCK_MARK.search(line)
        if mark:
            block = mark[2] if mark[1] == "BEGIN" else ""
        else:
            yield line, block


def _check_blocks(path: Path, cell: Cell) -> None:
    open_block, open_line, seen = "", 0, set()
    for number, line in enumerate(cell.source.split("\n"), cell.line + 1):
        mark = _BLOCK_MARK.search(line)
        if not mark:
            if re.search(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS|MARK SCHEME)", line):
                raise SourceError(path, number, "a block mark stands alone on its line: '### BEGIN SOLUTION'")
            continue
        edge, block = mark.groups()
        if _BLOCK_BELONGS_IN[block] != cell.kind:
            where = f"{'an' if _BLOCK_BELONGS_IN[block] == 'exercise' else 'a'} {_BLOCK_BELONGS_IN[block]} cell"
            raise SourceError(path, number, f"a {block} block belongs in {where}, this one is of kind {cell.kind}")
        if edge == "BEGIN" and open_block:
            raise SourceError(path, number, f"BEGIN {block} inside the {open_block} block of line {open_line}")
        if edge == "END" and open_block != block:
            raise SourceError(path, number, f"END {block} without its BEGIN")
        open_block, open_line = (block, number) if edge == "BEGIN" else ("", 0)
        seen.add(block)
    if open_block:
        raise SourceError(path, open_line, f"BEGIN {open_block} is never ended")
    for block, kind in _BLOCK_BELONGS_IN.items():
        if cell.kind == kind and block not in seen:
            raise SourceError(path, cell.line, f"{kind} {cell.name!r} has no {block} block")
    if cell.kind == "test" and not cell.without(HIDDEN).strip():
        raise SourceError(path, cell.line, f"test {cell.name!r} has no visible part: students need one to run")


def _check_code(path: Path, cell: Cell) -> None:
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        raise SourceError(path, cell.line + (error.lineno or 1), f"syntax error: {error.msg}") from None
    if cell.kind == "test":
        _check_hidden_names(path, cell, tree)


def _check_hidden_names(path: Path, cell: Cell, tree: ast.Module) -> None:
    """What a hidden test defines is not there for a student, so no later cell may come to rely on it."""
    lines = cell.source.split("\n")
    hidden = {n for n, (_, block) in zip(_unmarked_lines(lines), _blocks(cell.source), strict=True) if block == HIDDEN}
    for node in tree.body:
        if node.lineno not in hidden:
            continue
        for name in _defined(node):
            if not name.startswith("_"):
                raise SourceError(path, cell.line + node.lineno, f"hidden test defines {name!r}: begin it with '_'")


def _unmarked_lines(lines: list[str]) -> list[int]:
    return [number for number, line in enumerate(lines, 1) if not _BLOCK_MARK.search(line)]


def _defined(node: ast.AST) -> Iterator[str]:
    """Names that `node` binds in the module; what a comprehension or a function binds stays inside it."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif not isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _defined(child)


# ---------------------------------------------------------------- the whole lesson


def _check_pairs(path: Path, cells: Sequence[Cell]) -> None:
    exercises: dict[str, Cell] = {}
    tests: dict[str, Cell] = {}
    questions: dict[str, Cell] = {}
    named = {"exercise": exercises, "test": tests, "question": questions}
    for cell in cells:
        if cell.kind not in named:
            continue
        first = named[cell.kind].setdefault(cell.name, cell)
        if first is not cell:
            raise SourceError(path, cell.line, f"{cell.kind} {cell.name!r} stands already in line {first.line}")
        if cell.kind == "test" and cell.name not in exercises:
            raise SourceError(path, cell.line, f"test {cell.name!r} has no exercise of that name before it")
    for name, cell in exercises.items():
        if name not in tests:
            raise SourceError(path, cell.line, f"exercise {name!r} has no test")
        if name in questions:
            raise SourceError(path, questions[name].line, f"question {name!r} has the name of an exercise")
    ordered = [c for c in cells if c.kind in ("exercise", "test")]
    for cell, following in pairwise(ordered):
        if cell.kind == "exercise" and (following.kind, following.name) != ("test", cell.name):
            raise SourceError(path, cell.line, f"exercise {cell.name!r} is not followed by its own test")


def _check_imports(path: Path, cells: Sequence[Cell]) -> None:
    """The build ends each test cell with a call of `check`, so a lesson with tests imports it."""
    given = "\n".join(cell.source for cell in cells if cell.kind == "given")
    names = {a.asname or a.name for n in ast.walk(ast.parse(given)) if isinstance(n, ast.ImportFrom) for a in n.names}
    tests = [cell for cell in cells if cell.kind == "test"]
    if tests and "check" not in names:
        raise SourceError(path, tests[0].line, "a lesson with tests has 'from llmsys import check' in a given cell")


def _title(path: Path, cells: Sequence[Cell]) -> str:
    first = cells[0]
    heading = re.match(r"# (\S.*)", first.source) if first.kind == "prose" else None
    if not heading:
        raise SourceError(path, first.line, "the first cell is markdown and begins with the title, '# Reverse mode'")
    return heading[1].strip()
