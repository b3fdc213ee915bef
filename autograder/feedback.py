"""Feedback: nbgrader's own pages, with a table on top, inert, and without a line of hidden tests or reference code.

`FeedbackExporter` is what nbgrader's `GenerateFeedback` converts with (see `course.configure`), so `autograder grade`,
`nbgrader generate_feedback` and the formgrader write the same page. It needs no script and no network.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import nbformat
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import Highlight2HTML, ansi2html, strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.api import Assignment, BaseCell, Comment, Grade, Notebook, SubmittedAssignment, SubmittedNotebook
from nbgrader.utils import is_locked, is_task
from pygments.formatters import HtmlFormatter
from sqlalchemy import Engine, NullPool, Select, create_engine, select
from sqlalchemy.orm import Session

from autograder.course import Course, CourseError
from autograder.inert import CLEANER, inert
from autograder.mathml import mathml
from autograder.withhold import Secrets, inside, without_hidden

LONGEST_MESSAGE = 2000  # characters
LONGEST_HIGHLIGHTED = 20_000  # characters of a cell; colours for more would take seconds
CARRIED = "passed with the reference in place of your earlier answer (error carried forward)"


def generate(course: Course, submissions: Iterable[tuple[str, str]]) -> None:
    """Write ``feedback/<student>/<assignment>/<lesson>.html`` for each (student, assignment).

    Args:
        course: an nbgrader course directory with graded submissions. The gradebook is only read.
        submissions: those that nothing readable was handed in for are left out.

    Raises:
        CourseError: nbgrader could not, with a line for each page; the pages of all others are written.
    """
    wanted = [s for s in submissions if course.autograded_path(*s).exists()]
    errors = [error for submission in wanted if (error := _generate(course, submission))]
    if errors:
        raise CourseError("\n".join(errors))


def _generate(course: Course, submission: tuple[str, str]) -> str:
    student, assignment = submission
    result = course.api().generate_feedback(assignment, student, force=True)
    if result.get("error", "").rstrip().endswith("KeyboardInterrupt"):  # which nbgrader takes for any other error
        raise KeyboardInterrupt
    return "" if result["success"] else f"{student}, {assignment}: no feedback: {_reason(result)}"


def _reason(result: Mapping[str, str]) -> str:
    """What stopped nbgrader: the last line of the first stack in its log."""
    log = result.get("log") or result.get("error") or ""
    errors = re.findall(r"(?m)^\s*([\w.]*(?:Error|Exception|Entry)\b.*)$", log)
    return errors[0].removeprefix("autograder.course.CourseError: ") if errors else log


# ---------------------------------------------------------------- what a page says


@dataclass(frozen=True)
class Row:
    """What became of an exercise, or of a question that a person grades.

    `verdict` is in words; `kind` ("full", "part", "none" or "open") is for the eye.
    """

    exercise: str
    cell: str  # where on the page
    points: float
    max_points: float
    verdict: str
    kind: str
    message: str = ""
    seconds: float | None = None
    carried: bool = False


class _Mark(NamedTuple):
    points: float
    max_points: float
    needs_person: bool


@dataclass(frozen=True)
class _Marks:
    """What the gradebook says of one notebook of one student."""

    cells: Mapping[str, _Mark]  # by grade id
    comments: Mapping[str, str]
    late_penalty: float


@dataclass(frozen=True)
class Page:
    """What the template shows besides the notebook."""

    title: str
    rows: tuple[Row, ...]
    comments: Mapping[str, str]  # grade id -> what a grader wrote
    late_penalty: float
    withheld: bool = False  # the notebook is left out, for it held secrets

    @property
    def by_cell(self) -> dict[str, Row]:
        return {row.cell: row for row in self.rows}

    @property
    def score(self) -> float:
        return sum(row.points for row in self.rows) - self.late_penalty

    @property
    def max_score(self) -> float:
        return sum(row.max_points for row in self.rows)


_WORDS = {"failed": "failed", "timeout": "ran out of time", "died": "the kernel died", "not run": "not run"}


def _rows(notebook: NotebookNode, marks: _Marks, secrets: Secrets) -> Iterator[Row]:
    """In the notebook's order, then what it lacks."""
    cells = {_grade_id(cell): cell for cell in notebook.cells if _grade_id(cell)}
    for name in sorted(marks.cells, key=lambda name: list(cells).index(name) if name in cells else len(cells)):
        exercise = name.removeprefix("test_")
        answer, test = _said(cells.get(exercise)), _said(cells.get(name))
        messages = [secrets.without(strip_ansi(message)) for message in _messages(answer, test)]
        yield _row(exercise, name, marks.cells[name], answer, test, "\n".join(messages)[:LONGEST_MESSAGE])


def _messages(answer: Mapping[str, Any], test: Mapping[str, Any]) -> list[str]:
    """Where a test failed because the answer above it did not even run, the answer's own error is the one to read."""
    broken = "passed" not in (test.get("status"), answer.get("status", "passed")) and answer is not test
    said = [answer, test] if broken else [test]
    return [str(message) for s in said if (message := s.get("message"))]


def _row(exercise: str, cell: str, mark: _Mark, answer: Mapping[str, Any], test: Mapping[str, Any], why: str) -> Row:
    status, carried = test.get("status"), test.get("carried") is True
    seconds = [said["seconds"] for said in (answer, test) if isinstance(said.get("seconds"), int | float)]
    if mark.needs_person:
        kind, verdict = "open", "waits to be graded by a person"
    else:
        kind = "full" if mark.points >= mark.max_points else "part" if mark.points > 0 else "none"
        verdict = "error carried forward" if carried else _verdict(kind, status)
    time = sum(seconds) if seconds else None
    return Row(exercise, cell, mark.points, mark.max_points, verdict, kind, why, time, carried)


def _verdict(kind: str, status: Any) -> str:
    if status is None:
        return "graded"
    return {"full": "passed", "part": "passed in part", "none": _WORDS.get(str(status), "not passed")}[kind]


def _said(cell: NotebookNode | None) -> Mapping[str, Any]:
    """What `execute` wrote into a cell; empty where stock nbgrader ran it."""
    found = cell.metadata.get("autograder") if cell else None
    return found if isinstance(found, Mapping) else {}


def _grade_id(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


# ---------------------------------------------------------------- gradebook


def _marks(db_url: str, assignment: str, student: str, lesson: str) -> _Marks:
    """Two queries. nbgrader's `GetGrades` asks for each cell, through a gradebook that it opens for each notebook."""
    columns = (BaseCell.name, Grade.score, Grade.max_score, Grade.needs_manual_grade)
    grades = select(*columns, SubmittedNotebook.late_submission_penalty).select_from(Grade).join(Grade.cell)
    comments = select(BaseCell.name, Comment.comment).select_from(Comment).join(Comment.cell)
    here = (Assignment.name == assignment, SubmittedAssignment.student_id == student, Notebook.name == lesson)
    with Session(_engine(db_url)) as session:
        found = session.execute(_joined(grades.join(Grade.notebook)).where(*here)).all()
        written = session.execute(_joined(comments.join(Comment.notebook)).where(*here)).all()
    if not found:
        raise CourseError(f"{student}, {assignment}, {lesson}: not in the gradebook; grade it first")
    return _Marks(
        {name: _Mark(*mark) for name, *mark, _ in found},
        {name: comment for name, comment in written if comment},
        found[0][-1] or 0.0,
    )


def _joined(query: Select[Any]) -> Select[Any]:
    """`query`, which has a submitted notebook, with the assignment, student and lesson that it belongs to."""
    return (
        query.join(SubmittedNotebook.notebook).join(SubmittedNotebook.assignment).join(SubmittedAssignment.assignment)
    )


@cache
def _engine(db_url: str) -> Engine:
    return create_engine(db_url, poolclass=NullPool)  # a connection for each use: the file may be replaced, or forked


# ---------------------------------------------------------------- exporter


class FeedbackExporter(HTMLExporter):
    """nbconvert's HTML exporter with a template of our own, for nbgrader's `GenerateFeedback`.

    Hidden tests and mark schemes are taken out, and so is every line of them, or of the reference, that an output or a
    message holds. The finished page is searched once more: where a secret is left on it, it comes without the notebook.
    """

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs | {"template_file": "feedback.html", "preprocessors": []})

    def _create_environment(self) -> Environment:
        return _environment()

    # nbconvert annotates the same way, against its own base class.
    def from_file(self, file_stream: IO[str], resources: Any = None, **kwargs: Any) -> tuple[str, Any]:  # type: ignore[override]
        """Read without nbformat's validation: `inert` takes only what it knows."""
        notebook = nbformat.reader.reads(file_stream.read())
        if notebook.get("nbformat") != 4:
            notebook = nbformat.convert(notebook, 4)
        return self.from_notebook_node(notebook, resources, **kwargs)

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: Any = None, **kwargs: Any
    ) -> tuple[str, Any]:
        """Convert a notebook of the autograded directory; `resources` are those of nbgrader's converters."""
        names = resources["nbgrader"]
        marks = _marks(names["db_url"], names["assignment"], names["student"], names["notebook"])
        shown = inert(nb)
        known = [cell.source for cell in shown.cells if not _is_ours(cell)]
        secrets = self._secrets(names["assignment"], names["notebook"], shown).but_for(
            [*known, *marks.comments.values()]
        )
        _withhold(shown, secrets)
        title = shown.metadata.title or names["notebook"]
        page = Page(title, tuple(_rows(shown, marks, secrets)), marks.comments, marks.late_penalty)
        text, made = self._page(shown, resources, page)
        if secrets.found_in(_words_of(text)):
            shown.cells, rows = [], tuple(replace(row, message="") for row in page.rows)
            text, made = self._page(shown, resources, replace(page, rows=rows, withheld=True))
        return text, made

    def _page(self, nb: NotebookNode, resources: Any, page: Page) -> tuple[str, Any]:
        # HTMLExporter itself would parse the page again, for what the template has already; that takes seconds.
        return super(HTMLExporter, self).from_notebook_node(nb, {**resources, "page": page})

    def _secrets(self, assignment: str, lesson: str, nb: NotebookNode) -> Secrets:
        """Of the instructor's notebook, and of the hidden tests in `nb` itself, which may be of another version."""
        course: Any = getattr(self.parent, "coursedir", None)
        paths = [
            Path(course.format_path(folder, ".", assignment), f"{lesson}.ipynb")
            for folder in ((course.source_directory, course.release_directory) if course else ())
        ]
        hidden = tuple(line for cell in nb.cells if _is_ours(cell) for line in inside(cell.source))
        return _secrets_of(hidden, *((path, path.stat().st_mtime_ns) if path.exists() else None for path in paths))


@lru_cache(16)
def _secrets_of(hidden: Iterable[str], *files: tuple[Path, int] | None) -> Secrets:
    """Of `hidden` lines and of a source with its release (and their times): the same for a whole class."""
    source, release = (_read(file[0]) if file else new_notebook() for file in files or (None, None))
    return Secrets.of([*hidden, *(line for cell in source.cells for line in inside(cell.source))], release)


def _read(path: Path) -> NotebookNode:
    return nbformat.reader.reads(path.read_text(encoding="utf-8"))


def _is_ours(cell: NotebookNode) -> bool:
    """Restored from the course's own notebook before grading, so that no word in it is the student's."""
    return bool(is_locked(cell) or is_task(cell))


_FRAME = re.compile(r"^Cell In\s*\[(\d+)\]")


def _withhold(notebook: NotebookNode, secrets: Secrets) -> None:
    """Take out hidden tests and mark schemes, the frames that would quote them, and lines of `secrets`."""
    locked = {cell.get("execution_count") for cell in notebook.cells if _is_ours(cell)}
    for cell in notebook.cells:
        if _is_ours(cell):
            cell.source = without_hidden(cell.source)
        for output in cell.get("outputs", []):
            if "traceback" in output:
                frames = _own_frames("\n".join(output.traceback), locked)
                output.traceback = secrets.without(frames).split("\n")
            for place in (output, output.get("data", {})):
                place.update({kind: secrets.without(place[kind]) for kind in _TEXTS if kind in place})


_TEXTS = ("text", "text/plain", "text/html")


def _own_frames(traceback: str, locked: set[int | None]) -> str:
    """`traceback` without the frames of locked cells (tests among them)."""
    frames = re.split(r"(?m)^(?=.{0,20}Cell In)", traceback)
    kept = []
    for frame in frames:
        found = _FRAME.match(strip_ansi(frame))
        if not found or int(found[1]) not in locked:
            kept.append(frame)
    return "".join(kept)


def _words_of(page: str) -> str:
    """What a page says to its reader, and in the attributes of its tags."""
    body = page[page.index("<body") :]
    attributes = re.findall(r'(?:title|alt|href)="([^"]*)"', body)
    return html.unescape("\n".join([re.sub(r"<[^>]*>", "", body), *attributes]))


# ---------------------------------------------------------------- template


@cache
def _environment() -> Environment:
    """One for all pages: to compile templates anew takes longer than to render one."""
    environment = Environment(
        loader=PackageLoader("autograder"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ansi": lambda text: Markup(ansi2html(text)),
        "breakable": lambda name: escape(name).replace("_", Markup("_<wbr>")),
        "cleaned": lambda text: Markup(CLEANER.clean(text)),
        "grade_id": _grade_id,
        "highlight": _highlight,
        "markdown": lambda source, attachments=None: _markdown(source, json.dumps(attachments or {})),
        "number": lambda value: f"{round(value, 2):g}",
    }
    colours = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    day, night = (re.sub(r"(?m)^.highlight \{.*$|^(?!.highlight).*$", "", css) for css in colours)
    environment.globals |= {
        "carried": CARRIED,
        "highlighting": Markup(f"{day}\n@media (prefers-color-scheme: dark) {{ {night} }}"),
    }
    return environment


@lru_cache(5000)
def _highlight(source: str) -> Markup:
    if len(source) > LONGEST_HIGHLIGHTED:
        return Markup("<pre>{}</pre>").format(source)
    return Markup(Highlight2HTML(pygments_lexer="ipython3")(source))


@lru_cache(5000)
def _markdown(source: str, attachments: str) -> Markup:
    renderer = _Renderer(json.loads(attachments))
    rendered = MarkdownWithMath(renderer=renderer).render(re.sub(r"[\ue000\ue001]", "", source))
    return Markup(re.sub(r"\ue000(\d+)\ue001", lambda m: renderer.formulas[int(m[1])], CLEANER.clean(rendered)))


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown, with formulas kept apart until the rest has been cleaned."""

    def __init__(self, attachments: dict[str, dict[str, str]]) -> None:
        super().__init__(escape=False, attachments=attachments, exclude_anchor_links=True)
        self.formulas: list[Markup] = []

    def _formula(self, latex: str, display: bool) -> str:
        self.formulas.append(mathml(latex, display))
        return f"\ue000{len(self.formulas) - 1}\ue001"

    def block_math(self, body: str) -> str:
        return self._formula(body, True)

    def inline_math(self, body: str) -> str:
        return self._formula(body, False)

    def latex_environment(self, name: str, body: str) -> str:
        return self._formula(rf"\begin{{{name}}}{body}\end{{{name}}}", True)
