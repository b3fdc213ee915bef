"""The class report: how did a class do, which exercise is hard, what goes wrong, what is slow, what needs a person.

Points come from nbgrader's gradebook; what became of each cell comes from the autograded notebooks, where `execute`
wrote it. Names, answers and messages are a student's words, so whatever leaves here is escaped.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import StatisticsError, correlation, fmean, median
from typing import Any, NamedTuple, get_args

import nbformat
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.api import Assignment, BaseCell, Grade, Gradebook, Notebook, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import select

from autograder.cells import runs_when_grading
from autograder.course import STUB, Course, CourseError
from autograder.gradebook import recorded_flags
from autograder.submission import Flag, FlagKind

BINS = 10
SLOWEST = 8  # cells that are listed,
SLOW_SECONDS = 1.0  # of those that took anybody as long
FLAG_KINDS: tuple[FlagKind, ...] = get_args(FlagKind)
LONGEST_MESSAGE = 1000  # characters of an error; a student may have raised a megabyte

NOT_HANDED_IN, NOT_GRADED, NOT_EXECUTED = "not handed in", "not graded", "not executed"
TO_GRADE, GRADED = "to grade", "graded"
_STATUSES = ("passed", "failed", "timeout", "died", "not run")
_SAYS_NOTHING = (NOT_HANDED_IN, NOT_GRADED, NOT_EXECUTED, TO_GRADE)  # about how hard an exercise is


@dataclass(frozen=True)
class CellRun:
    """One run of one cell that nbgrader knows."""

    lesson: str
    cell: str
    status: str
    seconds: float
    message: str
    carried: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one exercise, or of one question that a person grades, in one submission.

    `status` is that of `execute` for an exercise, "to grade" or "graded" for a question, and for both "not handed in",
    "not graded" (handed in after the last grading) or "not executed" (unreadable, or the machinery failed). `carried`:
    it passed only with the reference in the place of an earlier answer.
    """

    lesson: str
    exercise: str
    points: float
    max_points: float
    status: str
    message: str = ""
    seconds: float = 0
    needs_person: bool = False
    carried: bool = False

    @property
    def share(self) -> float:
        return self.points / self.max_points if self.max_points else 0.0


@dataclass(frozen=True)
class Submission:
    """A student's answer to an assignment; there is one for a student who handed in nothing, too.

    `sandboxed` is False where it was executed without a sandbox.
    """

    student: str
    assignment: str
    outcomes: tuple[Outcome, ...]
    cells: tuple[CellRun, ...]
    flags: tuple[Flag, ...] = ()
    sandboxed: bool = True

    @property
    def handed_in(self) -> bool:
        return any(o.status != NOT_HANDED_IN for o in self.outcomes)

    @property
    def graded(self) -> bool:
        return any(o.status not in (NOT_HANDED_IN, NOT_GRADED) for o in self.outcomes)

    @property
    def needs_person(self) -> bool:
        return any(o.needs_person for o in self.outcomes)

    @property
    def score(self) -> float:
        return sum(o.points for o in self.outcomes)

    @property
    def max_score(self) -> float:
        return sum(o.max_points for o in self.outcomes)

    @property
    def share(self) -> float:
        """The score as a share of what has been graded so far: answers that wait for a person pull nobody down."""
        possible = sum(o.max_points for o in self.outcomes if o.status != TO_GRADE)
        return self.score / possible if possible else 0.0

    @property
    def seconds(self) -> float:
        return sum(run.seconds for run in self.cells)


@dataclass(frozen=True)
class Exercise:
    """How the class did on an exercise or question. `judged` counts the answers that were handed in and graded.

    `difficulty` is the mean share of the points (so an easy one has a high one), None where nobody was judged.
    `discrimination` is the correlation of that share with the share of all other points, over `compared` submissions
    (corrected item-total correlation), None for fewer than three or where one of the two is the same for all.
    """

    lesson: str
    name: str
    max_points: float
    judged: int
    full: int
    partial: int
    mean: float
    waiting: int
    carried: int = 0
    difficulty: float | None = None
    discrimination: float | None = None
    compared: int = 0

    @property
    def rate(self) -> float:
        return self.full / self.judged if self.judged else 0.0


@dataclass(frozen=True)
class CellTime:
    """The wall time of a cell over all submissions."""

    lesson: str
    cell: str
    median: float
    slowest: float


@dataclass(frozen=True)
class Failure:
    """Students who failed an exercise in the same way; `likely` is the misconception that the check named."""

    lesson: str
    exercise: str
    message: str
    likely: str
    students: tuple[str, ...]
    example: str


@dataclass(frozen=True)
class Errand:
    """Something a person should look at: one kind, and for each case the student and where to look."""

    kind: str
    cases: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FlagGroup:
    """The flags of one kind: what a person should look at, never an accusation."""

    kind: str
    cases: tuple[tuple[str, Flag], ...]


@dataclass(frozen=True)
class AssignmentReport:
    """One assignment; without submissions where nobody has handed in yet."""

    name: str
    submissions: tuple[Submission, ...]
    exercises: tuple[Exercise, ...]
    shares: tuple[float, ...]  # of the full score, one per graded submission, ascending
    histogram: tuple[int, ...]
    failures: tuple[Failure, ...]
    times: tuple[CellTime, ...]  # of every cell, in the order in which they ran
    errands: tuple[Errand, ...]
    flags: tuple[FlagGroup, ...] = ()

    @property
    def handed_in(self) -> int:
        return sum(s.handed_in for s in self.submissions)

    @property
    def absent(self) -> tuple[str, ...]:
        """Who has not submitted."""
        return tuple(s.student for s in self.submissions if not s.handed_in)

    @property
    def unsandboxed(self) -> int:
        return sum(not s.sandboxed for s in self.submissions)

    @property
    def slow(self) -> tuple[CellTime, ...]:
        cells = [cell for cell in self.times if cell.slowest >= SLOW_SECONDS]
        return tuple(sorted(cells, key=lambda c: (-c.median, -c.slowest))[:SLOWEST])

    @property
    def median(self) -> float:
        return median(self.shares) if self.shares else 0.0

    @property
    def mean(self) -> float:
        return fmean(self.shares) if self.shares else 0.0

    @property
    def hardest(self) -> Exercise | None:
        """Of those that more answers are graded of than wait: the first few of a question say little."""
        judged = [e for e in self.exercises if e.judged > e.waiting]
        return min(judged, key=lambda e: e.rate, default=None)


@dataclass(frozen=True)
class ClassReport:
    """The whole class, at one moment."""

    made: datetime
    students: tuple[str, ...]
    assignments: tuple[AssignmentReport, ...]


# ---------------------------------------------------------------- collect


def collect(course: Course) -> ClassReport:
    """Read the class from the course's gradebook and its autograded notebooks.

    Raises:
        CourseError: nothing was ever built in this course.
    """
    if not (course.root / "release").is_dir():
        raise CourseError(f"{course.root}: no assignment was built here; run 'autograder build'")
    with course.gradebook() as gradebook:
        names = [assignment.name for assignment in gradebook.assignments]
        students = {student.id for student in gradebook.students} | _who_handed_in(course)
        marks = _marks(gradebook)
        flags = recorded_flags(gradebook)
    return ClassReport(
        datetime.now(UTC),
        tuple(sorted(students)),
        tuple(
            _assignment(
                course,
                name,
                marks.get(name, {}),
                {student: flags.get((name, student), ()) for student in sorted(students)},
            )
            for name in sorted(names)
        ),
    )


class _Mark(NamedTuple):
    points: float
    needs_person: bool


class _Graded(NamedTuple):
    """A cell that carries points, as the gradebook knows it."""

    lesson: str
    cell: str
    max_points: float

    @property
    def exercise(self) -> str:
        return self.cell.removeprefix("test_")


_Marks = Mapping[_Graded, Mapping[str, _Mark]]  # graded cell -> student -> mark


def _who_handed_in(course: Course) -> set[str]:
    return {path.parent.name for path in (course.root / "submitted").glob("*/*") if path.is_dir()}


def _marks(gradebook: Gradebook) -> Mapping[str, _Marks]:
    """Assignment -> its marks. One query: through the objects of nbgrader's API it would be one for every grade."""
    query = (
        select(
            Assignment.name,
            Notebook.name,
            BaseCell.name,
            Grade.max_score,
            SubmittedAssignment.student_id,
            Grade.score,
            Grade.needs_manual_grade,
        )
        .select_from(Grade)
        .join(Grade.cell)
        .join(Grade.notebook)
        .join(SubmittedNotebook.notebook)
        .join(SubmittedNotebook.assignment)
        .join(SubmittedAssignment.assignment)
    )
    marks: dict[str, dict[_Graded, dict[str, _Mark]]] = defaultdict(lambda: defaultdict(dict))
    for assignment, lesson, cell, max_points, student, points, needs_person in gradebook.db.execute(query):
        marks[assignment][_Graded(lesson, cell, max_points)][student] = _Mark(points, needs_person)
    return marks


def _assignment(course: Course, name: str, marks: _Marks, flags: Mapping[str, tuple[Flag, ...]]) -> AssignmentReport:
    """`flags`: student -> those of the submission, for everybody in the class."""
    graded = _in_lesson_order(course, name, marks)
    found = [_submission(course, name, student, graded, marks, known) for student, known in flags.items()]
    submissions = tuple(found) if graded else ()
    shares = tuple(sorted(s.share for s in submissions if s.graded))
    return AssignmentReport(
        name,
        submissions,
        tuple(_exercise(submissions, index) for index in range(len(graded))),
        shares,
        _histogram(shares),
        tuple(_failures(submissions)),
        tuple(_times(submissions)),
        tuple(_errands(submissions)),
        tuple(_flag_groups(submissions)),
    )


def _in_lesson_order(course: Course, assignment: str, cells: Iterable[_Graded]) -> list[_Graded]:
    """The gradebook knows no order, the release does; what is in no release any more goes to the end."""
    place: dict[tuple[str, str], tuple[str, int]] = {}
    for path in (course.root / "release" / assignment).glob("*.ipynb"):
        notebook = _read(path)
        title = f"{notebook.metadata.get('title')}\0{path.stem}"  # as `find_lessons` orders them
        place |= {(path.stem, _grade_id(cell)): (title, index) for index, cell in enumerate(notebook.cells)}
    last = ("\U0010ffff", 0)
    return sorted(cells, key=lambda g: (place.get((g.lesson, g.cell), last), g.lesson, g.cell))


# ---------------------------------------------------------------- one submission


def _submission(
    course: Course, assignment: str, student: str, graded: Sequence[_Graded], marks: _Marks, known: Sequence[Flag]
) -> Submission:
    runs: dict[tuple[str, str], CellRun] = {}
    absent: dict[str, str] = {}  # lesson -> why nothing was seen to run
    flags, sandboxed = dict.fromkeys(known), True
    for lesson in dict.fromkeys(g.lesson for g in graded):
        path = course.autograded_path(student, assignment) / f"{lesson}.ipynb"
        if not path.exists():
            handed_in = (course.submitted_path(student, assignment) / path.name).exists()
            absent[lesson] = NOT_GRADED if handed_in else NOT_HANDED_IN
            continue
        notebook = _read(path)
        said = _said(notebook)
        flags |= dict.fromkeys(_flags(said))
        sandboxed = sandboxed and said.get("isolation") != "none"
        if (found := _runs(lesson, notebook)) is None:
            absent[lesson] = NOT_EXECUTED
        else:
            runs |= {(lesson, run.cell): run for run in found}
    nothing = _Mark(0.0, needs_person=False)
    outcomes = tuple(_outcome(g, marks[g].get(student, nothing), absent.get(g.lesson, ""), runs) for g in graded)
    return Submission(student, assignment, outcomes, tuple(runs.values()), tuple(flags), sandboxed)


def _said(notebook: NotebookNode) -> Mapping[str, Any]:
    """What `execute` said of the whole notebook."""
    found = notebook.get("metadata", {}).get("autograder")
    return found if isinstance(found, Mapping) else {}


def _flags(said: Mapping[str, Any]) -> Iterator[Flag]:
    found = said.get("flags")
    for flag in found if isinstance(found, list) else []:
        if isinstance(flag, Mapping) and flag.get("kind") in FLAG_KINDS:
            yield Flag(flag["kind"], *(str(flag.get(part, ""))[:LONGEST_MESSAGE] for part in ("where", "reason")))


def _read(path: Path) -> NotebookNode:
    """A notebook as it stands, empty where there is none in the file.

    This pipeline wrote it: to validate a class's worth again would take minutes.
    """
    try:
        return nbformat.reader.reads(path.read_text(encoding="utf-8"))
    except (AttributeError, OSError, ValueError, nbformat.ValidationError):
        return new_notebook()


def _runs(lesson: str, notebook: NotebookNode) -> list[CellRun] | None:
    """What `execute` wrote into the cells that nbgrader knows; None where the notebook was never executed."""
    try:
        # `execute` leaves the seed, stock `nbgrader autograde` only numbered cells.
        if "autograder" not in notebook.metadata and not any(cell.get("execution_count") for cell in notebook.cells):
            return None
        return [_run(lesson, cell) for cell in notebook.cells if _grade_id(cell) and _has_run(cell)]
    except (AttributeError, KeyError, TypeError, ValueError):  # a student may have put anything into it
        return None


def _grade_id(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _has_run(cell: NotebookNode) -> bool:
    """In a cell that is not run when grading, what looks like a word of `execute` is somebody else's."""
    return runs_when_grading(cell) and cell.metadata.get("autograder", {}).get("status") in _STATUSES


def _run(lesson: str, cell: NotebookNode) -> CellRun:
    found = cell.metadata["autograder"]
    message = str(found["message"])[:LONGEST_MESSAGE]
    carried = found.get("carried") is True
    return CellRun(lesson, _grade_id(cell), found["status"], float(found["seconds"]), message, carried)


def _outcome(graded: _Graded, mark: _Mark, absent: str, runs: Mapping[tuple[str, str], CellRun]) -> Outcome:
    lesson, exercise = graded.lesson, graded.exercise
    if absent:
        return Outcome(lesson, exercise, mark.points, graded.max_points, absent)
    answer, test = runs.get((lesson, exercise)), runs.get((lesson, graded.cell))
    # Where a test failed because the answer above it did not even run, the answer's own error is the one to read.
    cause = answer if test and answer and "passed" not in (test.status, answer.status) else test
    return Outcome(
        lesson,
        exercise,
        mark.points,
        graded.max_points,
        cause.status if cause else TO_GRADE if mark.needs_person else GRADED,
        cause.message if cause else "",
        sum(run.seconds for run in (answer, test) if run),
        mark.needs_person,
        test is not None and test.carried,
    )


# ---------------------------------------------------------------- the class


def _histogram(shares: Iterable[float]) -> tuple[int, ...]:
    counts = [0] * BINS
    for share in shares:  # a full score belongs to the last bin, and so does extra credit
        counts[min(max(math.floor(share * BINS + 1e-9), 0), BINS - 1)] += 1
    return tuple(counts)


def _exercise(submissions: Sequence[Submission], index: int) -> Exercise:
    outcomes = [s.outcomes[index] for s in submissions]
    judged = [o for o in outcomes if _is_judged(o)]
    full = sum(o.points >= o.max_points for o in judged)
    return Exercise(
        outcomes[0].lesson,
        outcomes[0].exercise,
        outcomes[0].max_points,
        len(judged),
        full,
        sum(o.points > 0 for o in judged) - full,
        fmean(o.points for o in judged) if judged else 0.0,
        sum(o.status == TO_GRADE for o in outcomes),
        sum(o.carried for o in judged),
        fmean(o.share for o in judged) if judged else None,
        *_discrimination(submissions, index),
    )


def _is_judged(outcome: Outcome) -> bool:
    return outcome.status not in _SAYS_NOTHING


def _discrimination(submissions: Sequence[Submission], index: int) -> tuple[float | None, int]:
    """Do those who do well elsewhere do well here? Without the exercise itself in the total, which would say so."""
    pairs = []
    for submission in submissions:
        rest = [o for n, o in enumerate(submission.outcomes) if n != index and _is_judged(o)]
        possible = sum(o.max_points for o in rest)
        if _is_judged(submission.outcomes[index]) and possible:
            pairs.append((submission.outcomes[index].share, sum(o.points for o in rest) / possible))
    try:
        return (correlation(*zip(*pairs, strict=True)) if len(pairs) > 2 else None), len(pairs)
    except StatisticsError:  # the same for all
        return None, len(pairs)


def _times(submissions: Iterable[Submission]) -> list[CellTime]:
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in (run for s in submissions for run in s.cells if run.status != "not run"):
        seconds[run.lesson, run.cell].append(run.seconds)
    return [CellTime(lesson, cell, median(times), max(times)) for (lesson, cell), times in seconds.items()]


def _flag_groups(submissions: Iterable[Submission]) -> list[FlagGroup]:
    cases: dict[str, list[tuple[str, Flag]]] = {kind: [] for kind in FLAG_KINDS}
    for submission in submissions:
        for flag in submission.flags:
            cases[flag.kind].append((submission.student, flag))
    return [FlagGroup(kind, tuple(found)) for kind, found in cases.items() if found]


def _failures(submissions: Iterable[Submission]) -> list[Failure]:
    """The most frequent first. What was not run because of an earlier cell is that cell's failure, not its own."""
    groups: dict[tuple[str, str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for submission in submissions:
        for o in submission.outcomes:
            if o.status in ("failed", "timeout", "died"):
                key = (o.lesson, o.exercise, *_essence(o.status, o.message))
                groups[key].append((submission.student, strip_ansi(o.message)))
    found = [Failure(*key, tuple(student for student, _ in cases), cases[0][1]) for key, cases in groups.items()]
    return sorted(found, key=lambda f: -len(f.students))


_VARIES = re.compile(r"0x[0-9a-fA-F]+|\d[\d.]{3,}(e[+-]?\d+)?")  # addresses and long numbers
_UNTOUCHED = "NotImplementedError: " + STUB.split('"')[1]
_DIFFERENCE = {
    "shape": "wrong shape",
    "dtype": "wrong dtype",
    "raised": "raises an error",
    "returned": "raises no error",
}


def _essence(status: str, message: str) -> tuple[str, str]:
    """What a message has in common with those of other students, and the misconception that its check calls likely."""
    if status != "failed":
        return {"timeout": "ran out of time", "died": "the kernel died"}[status], ""
    first, *rest = [line.strip() for line in strip_ansi(message).splitlines() if line.strip()] or ["no message"]
    if first == _UNTOUCHED:
        return "left as released", ""
    likely = ""
    # `llmsys.check` words it so: the call, the difference, and in the end what is likely.
    if first.startswith("CheckFailed: ") and rest:
        first = f"{first.removeprefix('CheckFailed: ')}: {_DIFFERENCE.get(rest[0].split()[0], 'wrong value')}"
        likely = next((line.removeprefix("likely").strip() for line in rest if line.startswith("likely ")), "")
    return _shortened(_VARIES.sub("…", " ".join(first.split()))), _shortened(likely)


def _shortened(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _errands(submissions: Iterable[Submission]) -> list[Errand]:
    """The most pressing first."""
    cases: dict[str, list[tuple[str, str]]] = {
        kind: []
        for kind in (
            "could not be executed",
            "handed in, not graded yet",
            "the kernel died",
            "ran out of time",
            "lesson missing",
            "to grade by hand",
        )
    }
    for submission in submissions:
        for kind, where in _errands_of(submission):
            cases[kind].append((submission.student, where))
    return [Errand(kind, tuple(found)) for kind, found in cases.items() if found]


def _errands_of(submission: Submission) -> Iterator[tuple[str, str]]:
    if not submission.handed_in:
        return
    absent = {
        NOT_EXECUTED: "could not be executed",
        NOT_GRADED: "handed in, not graded yet",
        NOT_HANDED_IN: "lesson missing",
    }
    lessons = {o.lesson: o.status for o in submission.outcomes}
    yield from ((absent[status], lesson) for lesson, status in lessons.items() if status in absent)
    stopped = {"died": "the kernel died", "timeout": "ran out of time"}
    for run in submission.cells:
        if run.status in stopped:
            yield stopped[run.status], f"{run.lesson}, {run.cell} ({run.seconds:.1f} s)"
    waiting = [o for o in submission.outcomes if o.needs_person]
    if waiting:
        yield "to grade by hand", ", ".join(f"{o.lesson}: {o.exercise}" for o in waiting)


# ---------------------------------------------------------------- write


def write_html(report: ClassReport, path: Path) -> None:
    """Write `report` as one page that stands alone: no script, no other file, no network."""
    from llmsys import plots  # brings matplotlib with it, which no other command should wait for

    page = _environment().get_template("report.html").render(report=report, plots=plots)
    path.write_text(page, encoding="utf-8", errors="replace")  # half a surrogate in a message must not cost the report


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("autograder"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda share: f"{share:.0%}",
        "correlation": lambda value: "–" if value is None else f"{value:.2f}".replace("-", "−"),
        "number": lambda value: f"{round(value, 2):g}",
        "breakable": lambda name: escape(name).replace("_", Markup("_<wbr>")),  # snake_case on a phone
    }
    return environment


CSV_COLUMNS = ("student", "assignment", "lesson", "exercise", "points", "max_points", "status", "seconds")


def write_csv(report: ClassReport, path: Path) -> None:
    """Write one row per student, assignment and exercise, safe to open in a spreadsheet."""
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        for s in (s for assignment in report.assignments for s in assignment.submissions):
            for o in s.outcomes:
                names = (s.student, s.assignment, o.lesson, o.exercise)
                figures = (o.points, o.max_points, o.status, round(o.seconds, 3))
                writer.writerow([*map(_no_formula, names), *figures])


def _no_formula(text: str) -> str:
    """A spreadsheet would compute a text that begins like a formula; the apostrophe says that it is text."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
