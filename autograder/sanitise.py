"""Sanitise: the lesson as it was released, with the student's answers in it.

nbgrader's own preprocessors say, once per lesson, what an untouched release becomes: locked cells, points, checksums
and hidden tests come from the gradebook. A submission gives its answers and its own cells to a copy of that; nothing
else of it is believed, so whatever became of its other cells, ids or metadata is undone. What had to be undone is
flagged. An honest notebook comes out as nbgrader itself would sanitise it.
"""

from __future__ import annotations

import copy
import re
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader.converters import Autograde
from nbgrader.utils import is_grade, is_locked, is_solution

from autograder.course import Course, CourseError
from autograder.handin import Unreadable, notebook_names, plain_text, read_notebook, read_timestamp, refusal, shown
from autograder.submission import Flag, Submission

MAX_CANDIDATES = 20  # notebooks under other names that are looked into
MAX_LISTED = 8  # cells that one flag lists
BESIDE = ".new.ipynb"  # a newer release, which `llmsys fetch` put beside a student's notebook

_DEFINITION = re.compile(r"^(?:(?:async[ \t]+)?def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_ADDED_BY_NBGRADER = ("checksum", "cell_type")  # when it releases; an instructor's notebook has none


def find_submissions(course: Course, assignments: tuple[str, ...] = ()) -> list[Submission]:
    """What was handed in, from ``submitted/<student>/<assignment>/``.

    Raises:
        CourseError: an assignment was never built in this course, or nothing was handed in.
    """
    built = sorted(p.name for p in (course.root / "release").glob("*") if p.is_dir())
    for assignment in assignments:
        if assignment not in built:
            there = ", ".join(built) or "none"
            raise CourseError(f"{course.root}: no assignment {assignment!r} (built: {there}); run 'autograder build'")
    found = [
        Submission(folder.parent.name, folder.name)
        for folder in sorted((course.root / "submitted").glob("*/*"))
        if folder.name in (assignments or built) and folder.parent.name != ".ipynb_checkpoints"
    ]
    if not found:
        raise CourseError(f"{course.root / 'submitted'}: nothing was handed in (submitted/STUDENT/ASSIGNMENT/*.ipynb)")
    return found


def say_why(notebook: NotebookNode, reason: str) -> None:
    """Put `reason` on top of a notebook that was not graded, for its student, and into its metadata for the report."""
    notebook.metadata["autograder"] = {"problem": reason}
    notebook.cells.insert(0, new_markdown_cell(f"**{reason}**", id="autograder-says"))


class Sanitiser:
    """Sanitises submissions of one course; what the gradebook says of a lesson is read once."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self._assignments: dict[str, dict[str, Lesson]] = {}

    def sanitise(self, submission: Submission) -> None:
        """Fill `submission` with its notebooks, sanitised, and with flags.

        In the place of one that can't be read stands the untouched release, to be recorded without being executed.

        Raises:
            CourseError: release and gradebook don't belong together.
        """
        if reason := refusal(submission.student):
            submission.flags.append(Flag("problem", shown(submission.student), f"not graded: {reason}; rename it"))
            return
        lessons = self._lessons(submission.assignment)
        folder = self.course.submitted_path(submission.student, submission.assignment)
        names: list[str] = []
        try:
            names = notebook_names(folder)
        except Unreadable as error:
            submission.flags.append(Flag("problem", submission.assignment, f"the folder {error}"))
        try:
            read_timestamp(folder)
        except Unreadable as error:
            submission.flags.append(Flag("problem", "timestamp.txt", f"left out of account: it {error}"))
        others = self._others(lessons, folder, names)
        for lesson in lessons.values():
            _sanitise(submission, lesson, folder, names, others)

    def _others(self, lessons: dict[str, Lesson], folder: Path, names: list[str]) -> dict[str, str]:
        """Notebooks under names that no lesson has -> the lesson that each must be, "" when that can't be told."""
        files = {lesson.file for lesson in lessons.values()}
        unexpected = [name for name in names if name not in files and not name.endswith(BESIDE)]
        unexpected.sort(key=lambda name: not any(lesson in name for lesson in lessons))
        del unexpected[MAX_CANDIDATES:]
        if files <= set(names):  # nothing is missing, so nobody needs to look into them
            return {name: next((lesson for lesson in lessons if lesson in name), "") for name in unexpected}
        return {name: _which(lessons, folder / name) for name in unexpected}

    def _lessons(self, assignment: str) -> dict[str, Lesson]:
        if assignment not in self._assignments:
            releases = sorted((self.course.root / "release" / assignment).glob("*.ipynb"))
            self._assignments[assignment] = {p.stem: _lesson(self.course, assignment, p) for p in releases}
        return self._assignments[assignment]


def sanitise(course: Course, submission: Submission) -> None:
    """`Sanitiser.sanitise` for a single submission."""
    Sanitiser(course).sanitise(submission)


def _sanitise(submission: Submission, lesson: Lesson, folder: Path, names: list[str], others: dict[str, str]) -> None:
    also = [name for name, meant in others.items() if meant == lesson.name]
    flag = submission.flags.append
    try:
        if lesson.file not in names and not also:
            flag(Flag("problem", lesson.file, "not handed in"))
            return
        name = lesson.file if lesson.file in names else _only(also, lesson)
        if name != lesson.file:
            flag(Flag("repaired", lesson.file, f"was handed in as {shown(name)}"))
        elif also:
            flag(Flag("repaired", lesson.file, f"graded, and not {_listed(also)}, which could be it, too"))
        notebook, version = read_notebook(folder / name)
        if version != 4:
            flag(Flag("repaired", lesson.file, f"was in notebook format {version}; converted"))
        merge = _Merge(lesson, notebook)
        submission.notebooks[lesson.name] = merge.notebook()
        submission.flags.extend(merge.flags())
    except Exception as error:  # any byte sequence may have been handed in
        reason = str(error) if isinstance(error, Unreadable) else f"can't be read ({type(error).__name__})"
        flag(Flag("problem", lesson.file, reason))
        submission.notebooks.pop(lesson.name, None)
        submission.unreadable[lesson.name] = lesson.stand_in(f"it {reason}. Hand it in again.")


def _only(names: list[str], lesson: Lesson) -> str:
    if len(names) > 1:
        raise Unreadable(f"could be any of {_listed(names)}; hand in one, as {lesson.file}")
    return names[0]


def _listed(names: list[str]) -> str:
    return ", ".join(shown(name) for name in names)


def _which(lessons: dict[str, Lesson], path: Path) -> str:
    """The lesson that a notebook of another name must be: by what it says of itself, else by its cells."""
    try:
        notebook, _ = read_notebook(path)
        said = _string(_mapping(_mapping(notebook.get("metadata")).get("llmsys")).get("lesson"))
        if said in lessons:
            return said
        found = {name: _Merge(lesson, notebook).recognised for name, lesson in lessons.items()}
    except Exception:  # no notebook: then its name must say whose place it has
        return next((lesson for lesson in lessons if lesson in path.name), "")
    most = max(found.values(), default=0)
    best = [name for name, count in found.items() if count == most]
    return best[0] if most and len(best) == 1 else ""


# ---------------------------------------------------------------- the lesson


@dataclass(frozen=True)
class _Part:
    """A cell of a lesson: as it was released, and as nbgrader restores it."""

    index: int
    released: NotebookNode
    restored: NotebookNode
    defines: frozenset[str] = frozenset()  # names at the top level, of an exercise

    @property
    def grade_id(self) -> str:
        """nbgrader's name of the cell; "" for prose and demonstrations."""
        return str(self.released.metadata.get("nbgrader", {}).get("grade_id", ""))

    @property
    def locked(self) -> bool:
        return bool(is_locked(self.restored))

    @property
    def given(self) -> bool:
        """Locked code that is no test: what later cells need."""
        return self.locked and not is_grade(self.restored) and self.released.cell_type == "code"


class Lesson:
    """A lesson of an assignment, as nbgrader would sanitise it if nobody had touched it."""

    def __init__(self, name: str, release: NotebookNode, restored: NotebookNode) -> None:
        self.name, self.file, self.release, self.restored = name, f"{name}.ipynb", release, restored
        self.digest = release.metadata.get("llmsys", {}).get("digest")
        self.parts = [
            _Part(index, before, after, _definitions(before.source) if is_solution(before) else frozenset())
            for index, (before, after) in enumerate(zip(release.cells, restored.cells, strict=True))
        ]
        self.known = [part for part in self.parts if part.grade_id]
        self.by_grade_id = {part.grade_id: part for part in self.known}
        self.by_id = {part.released.id: part for part in self.parts}
        self.by_source = {part.released.source.strip(): part for part in reversed(self.parts)}

    def stand_in(self, reason: str) -> NotebookNode:
        """The untouched release, saying why it stands here."""
        notebook = copy.deepcopy(self.restored)
        say_why(notebook, f"{self.file} was not graded: {reason}")
        return notebook


def _lesson(course: Course, assignment: str, path: Path) -> Lesson:
    release = nbformat.read(path, as_version=4)
    config = course.config()
    names = {"assignment": assignment, "notebook": path.stem, "db_url": course.db_url}
    resources: Any = {"unique_key": path.stem, "nbgrader": names}
    restored = copy.deepcopy(release)
    try:
        for preprocessor in Autograde(coursedir=course.directory(), config=config).sanitize_preprocessors:
            restored, resources = preprocessor(config=config).preprocess(restored, resources)
        return Lesson(path.stem, release, restored)
    except (ValueError, RuntimeError) as error:  # nbgrader's MissingEntry and checksums; zip(strict=True)
        raise CourseError(f"{path}: not what the gradebook knows ({error}); run 'autograder build'") from error


def _definitions(source: str) -> frozenset[str]:
    return frozenset(function or variable for function, variable in _DEFINITION.findall(source))


# ---------------------------------------------------------------- the student's notebook in it


@dataclass(eq=False)
class _Handed:
    """A cell that was handed in: what can be known of it, and the lesson's cell that it was found to be."""

    number: int  # in the notebook, from 1
    type: str
    source: str
    id: str
    metadata: dict[str, Any]
    attachments: Any
    claims: list[_Part] = field(default_factory=list)  # what it could be, by its ids
    part: _Part | None = None

    @cached_property
    def defines(self) -> frozenset[str]:
        return _definitions(self.source)

    @property
    def nbgrader(self) -> dict[str, Any]:
        return _mapping(self.metadata.get("nbgrader"))

    @property
    def grade_id(self) -> str:
        return _string(self.nbgrader.get("grade_id"))

    @property
    def tags(self) -> list[str]:
        tags = self.metadata.get("tags")
        return [plain_text(tag) for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []

    @property
    def known(self) -> bool:
        """Whether it is a cell that nbgrader knows."""
        return self.part is not None and bool(self.part.grade_id)

    def reads_like(self, part: _Part) -> bool:
        if part.locked:
            return self.source.strip() in (part.released.source.strip(), part.restored.source.strip())
        return bool(part.defines & self.defines)


def _handed(number: int, cell: Any) -> _Handed:
    cell = _mapping(cell)
    metadata = _mapping(cell.get("metadata"))
    return _Handed(
        number=number,
        type=_string(cell.get("cell_type")),
        source=plain_text(cell.get("source")),
        id=_string(cell.get("id")) or _string(metadata.get("id")),  # Colab keeps a cell's id in its metadata
        metadata=metadata,
        attachments=cell.get("attachments"),
    )


class _Merge:
    """One student's notebook put into a lesson."""

    def __init__(self, lesson: Lesson, notebook: dict[str, Any]) -> None:
        self.lesson = lesson
        self._undone: dict[str, list[tuple[int, str]]] = defaultdict(list)  # reason -> (cell's number, its name)
        self._cells = [_handed(number, cell) for number, cell in enumerate(notebook["cells"], 1)]
        said = _mapping(_mapping(notebook.get("metadata")).get("llmsys")).get("digest")
        self._another_release = isinstance(said, str) and said != lesson.digest
        self._match_by_ids()
        self._match_by_source()
        self._match_by_definitions()

    @property
    def recognised(self) -> int:
        """How many of the cells that nbgrader knows are in the notebook."""
        return sum(cell.known for cell in self._cells)

    def notebook(self) -> NotebookNode:
        for cell in self._cells:
            if cell.known:
                self._compare(cell)
            else:
                self._note_claims(cell)
        cells = [_node(part, cell) for part, cell in self._in_order()]
        metadata = copy.deepcopy(self.lesson.restored.metadata)
        return NotebookNode(cells=cells, metadata=metadata, nbformat=4, nbformat_minor=5)

    def flags(self) -> list[Flag]:
        """What `notebook` had to undo, one flag per reason."""
        return [Flag("repaired", _where(self.lesson.file, cells), reason) for reason, cells in self._undone.items()]

    # -- which cell is which

    def _match_by_ids(self) -> None:
        """nbgrader's id, the cell's own id and what it says vote: any single one may have been changed."""
        votes = []
        for cell in self._cells:
            by_grade_id, by_id = self.lesson.by_grade_id.get(cell.grade_id), self.lesson.by_id.get(cell.id)
            cell.claims = [part for part in self.lesson.known if part is by_grade_id or part is by_id]
            for part in cell.claims:
                votes.append((3 * (part is by_grade_id) + 2 * (part is by_id) + 2 * cell.reads_like(part), part, cell))
        votes.sort(key=lambda vote: -vote[0])
        tied, decided = [], set()
        for most, part, cell in votes:
            if cell.part is None and part.index not in decided:
                decided.add(part.index)
                rivals = [c for count, p, c in votes if p is part and count == most and c.part is None]
                if len(rivals) == 1:
                    cell.part = part
                else:
                    tied.append((part, rivals))
        for part, rivals in tied:  # last, because the others say where its place is
            if left := [cell for cell in rivals if cell.part is None]:
                self._in_place(part, left).part = part

    def _in_place(self, part: _Part, cells: list[_Handed]) -> _Handed:
        """Of several copies of a cell the last one in the right place, as nbgrader does; else the first."""
        numbers = {cell.part.index: cell.number for cell in self._cells if cell.part}
        low = numbers[max(before)] if (before := [i for i in numbers if i < part.index]) else 0
        high = numbers[min(after)] if (after := [i for i in numbers if i > part.index]) else len(self._cells) + 1
        inside = [cell for cell in cells if low < cell.number < high]
        return inside[-1] if inside else cells[0]

    def _match_by_source(self) -> None:
        """Prose and demonstrations by their ids, and whatever lost its id but reads as it was released."""
        taken = {cell.part.index for cell in self._cells if cell.part}
        for cell in self._cells:
            by_id = self.lesson.by_id.get(cell.id)
            part = by_id if by_id and not by_id.grade_id else self.lesson.by_source.get(cell.source.strip())
            if cell.part is None and part and part.index not in taken:
                cell.part = part
                taken.add(part.index)

    def _match_by_definitions(self) -> None:
        """An exercise of which no id is left is the one cell that defines what it asks for."""
        taken = {cell.part.index for cell in self._cells if cell.part}
        could_be = defaultdict(list)
        for cell in self._cells:
            missing = [p for p in self.lesson.known if p.defines and p.index not in taken and p.defines <= cell.defines]
            if cell.part is None and len(missing) == 1:
                could_be[missing[0].index].append(cell)
        for index, cells in could_be.items():
            if len(cells) == 1:
                cells[0].part = self.lesson.parts[index]

    # -- what is not as it was released

    def _compare(self, cell: _Handed) -> None:
        assert cell.part is not None
        part, undone = cell.part, []
        expected = part.released.metadata["nbgrader"]
        differs = sorted(
            shown(key)
            for key in {*expected, *cell.nbgrader}
            if not _same(cell.nbgrader, expected, key) and (key in cell.nbgrader or key not in _ADDED_BY_NBGRADER)
        )
        if not cell.nbgrader:
            undone.append("had lost nbgrader's metadata; restored")
        elif differs:
            undone.append(f"had other metadata of nbgrader ({', '.join(differs[:MAX_LISTED])}); restored")
        if part.locked and not cell.reads_like(part):
            undone.append("was edited; restored")
        if undone and self._another_release:
            undone = ["differs: begun from another release of the lesson; brought up to date"]
        if cell.type != part.released.cell_type:
            undone.append(f"was turned into {shown(cell.type)}; turned back")
        if tags := set(cell.tags) - set(part.released.metadata.get("tags", [])):
            undone.append(f"was tagged {', '.join(map(shown, sorted(tags)[:MAX_LISTED]))}; untagged")
        for reason in undone:
            self._undone[reason].append((cell.number, part.grade_id))

    def _note_claims(self, cell: _Handed) -> None:
        if cell.claims:
            name = cell.claims[0].grade_id
            self._undone["is a copy; kept as the student's own cell"].append((cell.number, name))
        elif cell.grade_id:
            reason = "has nbgrader's metadata, but is of no such lesson; kept as the student's own cell"
            self._undone[reason].append((cell.number, shown(cell.grade_id)))

    # -- putting it together

    def _in_order(self) -> list[tuple[_Part | None, _Handed | None]]:
        """The student's cells in the student's order, with the least moved that brings the lesson's into theirs."""
        known = [cell for cell in self._cells if cell.known]
        in_order = {known[i].number for i in _longest_increasing([cell.part.index for cell in known if cell.part])}
        moved = {cell.part.index: cell for cell in known if cell.part and cell.number not in in_order}
        slots: list[tuple[_Part | None, _Handed | None]] = [
            (cell.part, cell) for cell in self._cells if not cell.known or cell.number in in_order
        ]
        there = {cell.part.index for cell in known if cell.part} - set(moved)
        for part in self.lesson.known:
            if part.index not in there:
                cell = moved.get(part.index)
                slots.insert(_place(slots, part), (part, cell))
                reason = "was in another place; moved back" if cell else "was missing; put back"
                self._undone[reason].append((cell.number if cell else 0, part.grade_id))
        return slots


def _place(slots: list[tuple[_Part | None, _Handed | None]], part: _Part) -> int:
    """Where a cell of the lesson goes: before the next one of the lesson, so that what the student put in between has
    run by then; but code that is given goes before what the student put in, because that may need it."""
    place = 0
    for position, (other, _) in enumerate(slots):
        if other and other.grade_id and other.index < part.index:
            place = position + 1
    while place < len(slots):
        other = slots[place][0]
        if part.given if other is None else other.index > part.index:
            break
        place += 1
    return place


def _node(part: _Part | None, cell: _Handed | None) -> NotebookNode:
    if part and part.grade_id:
        node = copy.deepcopy(part.restored)
        if not part.locked:
            node.source = cell.source if cell else _missing(part)
    else:
        assert cell is not None
        kind = cell.type if cell.type in ("code", "markdown") else "raw"
        name = part.released.id if part else f"own-{cell.number}"
        tags = {"tags": cell.tags} if cell.tags else {}
        metadata = copy.deepcopy(part.released.metadata) if part else NotebookNode(tags)
        node = NotebookNode(id=name, cell_type=kind, metadata=metadata, source=cell.source)
        if kind == "code":
            node.update(execution_count=None, outputs=[])
    if cell and node.cell_type == "markdown" and not (part and part.locked):
        node.update(_attachments(cell.attachments))
    return node


def _missing(part: _Part) -> str:
    """Not the released stub: that would take the place of an answer which was written into another cell."""
    if is_grade(part.restored):
        return str(part.released.source)  # graded by hand, and known by this text to be no answer
    return f"# {part.grade_id}: this cell was missing from what was handed in."


def _attachments(value: Any) -> dict[str, NotebookNode]:
    files = {
        plain_text(name): NotebookNode({plain_text(mime): plain_text(data) for mime, data in bundle.items()})
        for name, bundle in _mapping(value).items()
        if isinstance(bundle, dict)
    }
    return {"attachments": NotebookNode(files)} if files else {}


def _longest_increasing(values: list[int]) -> list[int]:
    """The positions of a longest increasing subsequence of distinct `values`."""
    ends: list[int] = []  # position that ends the best subsequence of each length
    before: list[int | None] = []
    for position, value in enumerate(values):
        length = bisect_left([values[end] for end in ends], value)
        before.append(ends[length - 1] if length else None)
        ends[length : length + 1] = [position]
    chain: list[int] = []
    at = ends[-1] if ends else None
    while at is not None:
        chain.append(at)
        at = before[at]
    return chain[::-1]


def _where(file: str, cells: list[tuple[int, str]]) -> str:
    """ "small.ipynb cells 3, 5 (test_double, test_triple)" """
    numbers = [str(number) for number, _ in cells if number]
    names = [name for _, name in cells]
    more = ", …" if len(cells) > MAX_LISTED else ""
    cell = f" cell{'s' * (len(numbers) > 1)} {', '.join(numbers[:MAX_LISTED])}{more}" if numbers else ""
    return f"{file}{cell} ({', '.join(names[:MAX_LISTED])}{more})"


def _same(handed: dict[str, Any], expected: dict[str, Any], key: str) -> bool:
    return key in handed and key in expected and bool(handed[key] == expected[key])


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
