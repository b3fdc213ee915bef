"""The `autograder` command: what an instructor types. Each command parses, calls one function and prints."""

# nbgrader, jupytext and torch take seconds to import, so a command imports what it needs when it runs: `--help` and
# `doctor` answer at once, also where something is missing.
from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Executor

    from rich.progress import Task

    from autograder.cases import Verdict
    from autograder.course import Course
    from autograder.grade import Graded, Submission
    from autograder.passes import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
out, err = Console(), Console(stderr=True)

Lessons = Annotated[list[str] | None, typer.Argument(help="assignments or lessons; default: all", show_default=False)]
Assignments = Annotated[list[str] | None, typer.Argument(help="assignments; default: all", show_default=False)]
Solutions = Annotated[Path, typer.Option(help="where the lessons are written")]
CourseDir = Annotated[Path, typer.Option("--course", help="the nbgrader course directory")]
Db = Annotated[str | None, typer.Option(help="gradebook as an SQLAlchemy URL; default: SQLite in the course directory")]
Json = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]
CellSeconds = Annotated[float, typer.Option(help="a cell that runs longer is stopped")]
NotebookSeconds = Annotated[float, typer.Option(help="what a whole notebook may take")]
Isolation = Annotated[
    Literal["warm", "fresh", "none"],
    typer.Option(help="a process of its own from a warm sandbox, a fresh sandbox for each submission, or no sandbox"),
]


@app.command("build")
def build_command(
    lessons: Lessons = None,
    solutions: Solutions = Path("solutions"),
    course: CourseDir = Path("course"),
    notebooks: Annotated[Path, typer.Option(help="where students open them")] = Path("notebooks"),
    db: Db = None,
) -> None:
    """Build instructor notebooks and releases; never over a notebook that somebody edited."""
    from autograder.build import build
    from autograder.course import Course
    from autograder.source import find_lessons, read_lesson

    read = [read_lesson(path) for path in find_lessons(solutions, lessons or ())]
    for built in build(read, Course(course, db), notebooks):
        out.print(str(built.placed), markup=False, highlight=False, soft_wrap=True)


@app.command()
def cases(
    lessons: Lessons = None,
    solutions: Solutions = Path("solutions"),
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show the message that each case got")] = False,
    seconds: Annotated[float, typer.Option(help="a case that runs longer is stopped")] = 20,
    table: Annotated[Path | None, typer.Option(help="write the kill table as Markdown, for the docs")] = None,
) -> None:
    """Grade every case: are misconceptions caught, alternatives accepted? Exits with 1 when one is judged wrong."""
    from autograder.cases import kill_table, page, too_few
    from autograder.snapshot import judge_lessons
    from autograder.source import find_lessons

    verdicts = dict(judge_lessons(find_lessons(solutions, lessons or ()), seconds=seconds))
    counts = {lesson: kill_table(judged) for lesson, judged in verdicts.items()}
    mistaken = [v for judged in verdicts.values() for v in judged if not v.right]
    thin = [f"{lesson}: {line}" for lesson, rows in counts.items() for line in too_few(rows)]
    if as_json:
        print(json.dumps(counts, indent=2))
    else:
        for lesson, rows in counts.items():
            out.print(_kill_table(lesson, rows))
    for verdict in (v for judged in verdicts.values() for v in judged) if verbose else mistaken:
        _print_verdict(verdict)
    if table:
        table.write_text(page(verdicts), encoding="utf-8")
    for line in thin:
        err.print(f"[red]{line}", highlight=False)
    raise typer.Exit(1 if mistaken or thin else 0)


@app.command("grade")
def grade_command(
    assignments: Assignments = None,
    course: CourseDir = Path("course"),
    db: Db = None,
    cell_seconds: CellSeconds = 30,
    notebook_seconds: NotebookSeconds = 180,
    memory: Annotated[int, typer.Option(help="MiB that a submission may use")] = 4096,
    isolation: Isolation = "warm",
    carried: Annotated[float, typer.Option(help="points for what passes but for earlier mistakes: 1 all, 0 none")] = 1,
    seed: Annotated[int | None, typer.Option(help="of the checks' inputs; default: the course's own")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="execute all once more; flag what comes out otherwise")
    ] = False,
    cluster: Annotated[str | None, typer.Option(help="address of a Dask scheduler whose workers execute")] = None,
    as_json: Json = False,
) -> None:
    """Grade what was handed in, write feedback for every student and a report for you."""
    from autograder.course import Course
    from autograder.grade import find_submissions, settings_for
    from autograder.sandbox import Limits

    where = Course(course, db)
    submissions = find_submissions(where, tuple(assignments or ()))
    limits = Limits(cell_seconds, notebook_seconds, memory)
    settings = settings_for(where, seed, limits=limits, isolation=isolation, carried=_share(carried, "--carried"))
    if isolation == "none":
        err.print("[yellow]no sandbox: submissions run with your rights, and can read and change what you can[/]")
    sys.setswitchinterval(0.0005)  # a worker that has answered must not wait until a page of feedback is written
    with _executor(cluster) as executor:
        graded = grade_with_progress(where, submissions, settings, executor=executor, again=again)
    paths = _write_report(where)
    if as_json:
        print(json.dumps([_as_json(g) for g in graded], indent=2))
        return
    out.print(_scores(graded))
    _print_flags(graded)
    for path in paths:
        out.print(str(path), markup=False, highlight=False, soft_wrap=True)


@app.command()
def report(course: CourseDir = Path("course"), db: Db = None) -> None:
    """Write the class report: one HTML page and one CSV."""
    from autograder.course import Course

    for path in _write_report(Course(course, db)):
        out.print(str(path), markup=False, highlight=False, soft_wrap=True)


@app.command()
def export(
    platform: Annotated[Literal["canvas", "moodle"], typer.Argument(help="whose gradebook imports it")],
    assignments: Assignments = None,
    course: CourseDir = Path("course"),
    db: Db = None,
    output: Annotated[Path | None, typer.Option(help="default: canvas.csv or moodle.csv in the course")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="ASSIGNMENT=ID: the assignment that Canvas has already; repeat it")
    ] = None,
) -> None:
    """Write the grades as a CSV that Canvas or Moodle imports; no cell of it is a formula."""
    from autograder import exports
    from autograder.course import Course

    gradebook = exports.read(Course(course, db), tuple(assignments or ()))
    path = output or course / f"{platform}.csv"
    if platform == "canvas":
        written = exports.write_canvas(gradebook, path, _columns(column or [], gradebook.assignments))
    elif column:
        raise typer.BadParameter("--column is Canvas's; Moodle asks while importing")
    else:
        written = exports.write_moodle(gradebook, path)
    out.print(f"{written.path} ({written.students} students)", markup=False, highlight=False, soft_wrap=True)
    for student in written.left_out:
        err.print(Text.assemble((f"left out: {student!r}", "yellow"), ", whose id would be a formula"), soft_wrap=True)
    for student, assignment in written.waiting:
        said = f"{assignment} of {student} is empty: an answer waits to be graded by a person"
        err.print(said, markup=False, highlight=False, soft_wrap=True)


@app.command()
def similar(
    assignment: str,
    course: CourseDir = Path("course"),
    threshold: Annotated[float, typer.Option(help="share of a student's own code that both have, 0 to 1")] = 0.6,
    as_json: Json = False,
) -> None:
    """List pairs of submissions that are similar, for a person to look at: never an accusation."""
    from dataclasses import asdict

    from autograder.course import Course
    from autograder.similar import find_similar

    pairs = find_similar(Course(course), assignment, _share(threshold, "--threshold"))
    if as_json:
        print(json.dumps([asdict(pair) for pair in pairs], indent=2))
        return
    for pair in pairs:
        out.print(str(pair), markup=False, highlight=False, soft_wrap=True)
    if not pairs:
        out.print("no similar pairs", highlight=False)


@app.command()
def validate(
    notebook: Path,
    cell_seconds: CellSeconds = 30,
    notebook_seconds: NotebookSeconds = 180,
    isolation: Isolation = "warm",
) -> None:
    """Run a notebook's own tests and say which exercises pass. Exits with 1 when one fails."""
    from autograder.sandbox import Limits
    from autograder.validate import validate as outcomes_of

    outcomes = outcomes_of(notebook, Limits(cell_seconds, notebook_seconds), isolation)
    for o in outcomes:
        mark = "[green]pass[/]" if o.points == o.max_points else "[red]fail[/]"
        out.print(f"{mark}  {o.exercise} ({o.points:g} of {o.max_points:g} points)", highlight=False)
        if o.message:
            out.print("      " + o.message.replace("\n", "\n      "), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if all(o.points == o.max_points for o in outcomes) else 1)


@app.command()
def doctor() -> None:
    """Say what this machine has (Python, torch, GPU, Triton, sandbox, disk) and what that means."""
    from autograder.doctor import examine
    from llmsys.doctor import show

    raise typer.Exit(0 if show(examine()) else 1)


@app.command()
def demo(
    course: CourseDir = Path("demo"),
    solutions: Solutions = Path("solutions"),
) -> None:
    """Build week 2, grade a made-up class whose right grades are known, and check that it got them."""
    from autograder.course import Course
    from autograder.demo import LIMITS, compare, set_up
    from autograder.grade import settings_for

    where = Course(course)
    out.print(f"Building week 2 and handing in for a made-up class, in {course}/ ...", highlight=False)
    submissions, expected = set_up(where, solutions)
    graded = grade_with_progress(where, submissions, settings_for(where, None, limits=LIMITS))
    rows = compare(graded, expected)
    out.print(_demo_table(rows))
    _print_flags(graded)
    page, _ = _write_report(where)
    out.print(f"report    {page}\nfeedback  {course / 'feedback'}", highlight=False, soft_wrap=True)
    wrong = [row for row in rows if not row.right]
    if wrong:
        err.print(f"[red]{len(wrong)} of {len(rows)} grades are not what they should be[/]")
        raise typer.Exit(1)
    out.print(f"[green]all {len(rows)} submissions got the grades that are due, to the exercise[/]", highlight=False)


# ---------------------------------------------------------------- doing


def grade_with_progress(
    course: Course,
    submissions: list[Submission],
    settings: Settings,
    *,
    executor: Executor | None = None,
    again: bool = False,
) -> list[Graded]:
    """Grade and write feedback, with bars that show rate, remaining time and what is for a person to look at."""
    from autograder import feedback
    from autograder.course import CourseError
    from autograder.grade import grade

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=err) as progress:
        grading = progress.add_task("grading", total=len(submissions), last="")
        flagged, without_feedback = 0, list[str]()

        def one_more(g: Graded) -> None:
            nonlocal flagged
            flagged += bool(g.flags)
            progress.update(grading, advance=1, last=f"{flagged} to look at")
            try:  # while the workers go on with the others
                feedback.generate(course, [(g.student, g.assignment)])
            except CourseError as error:
                without_feedback.append(str(error))

        with _stopped_by_ctrl_c(progress):
            graded = grade(course, submissions, settings=settings, executor=executor, again=again, done=one_more)
    if without_feedback:
        raise CourseError("\n".join(without_feedback))
    return graded


@contextlib.contextmanager
def _stopped_by_ctrl_c(progress: Progress) -> Iterator[None]:
    """Ctrl-C ends the process then and there, with a word on how to go on.

    Nothing is lost by that at any instant, and the sandboxes end with it; an exception could be swallowed on its way
    (Python drops one in a weak reference's callback, nbgrader one in a conversion) or wait for a cell to end.
    """

    def stop(*_: object) -> None:
        progress.stop()
        bar = progress.tasks[0]
        done = f"{bar.completed:.0f} of {bar.total:.0f} are graded"
        err.print(f"stopped; {done}. The same command goes on from there", highlight=False)
        os._exit(130)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _executor(cluster: str | None) -> Iterator[Executor | None]:
    """The workers of a Dask cluster, or None for this machine's cores."""
    if cluster is None:
        yield None
        return
    from autograder.cluster import connect

    with connect(cluster) as executor:
        yield executor


def _share(value: float, option: str) -> float:
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{option} is a share, from 0 to 1")
    return value


def _columns(given: list[str], assignments: Mapping[str, float]) -> dict[str, str]:
    """ASSIGNMENT=ID of each, by assignment."""
    ids = dict(one.partition("=")[::2] for one in given)
    for name, number in ids.items():
        if name not in assignments or not number.isdecimal():
            there = ", ".join(assignments)
            raise typer.BadParameter(f"--column {name}={number}: is no ASSIGNMENT=ID with one of {there} and a number")
    return ids


def _as_json(g: Graded) -> dict[str, Any]:
    exercises = {name: {"points": points, "of": most} for name, (points, most) in g.exercises.items()}
    flags = [{"kind": f.kind, "where": f.where, "reason": f.reason} for f in g.flags]
    return {"assignment": g.assignment, "student": g.student, "score": g.score, "of": g.max_score} | {
        "exercises": exercises,
        "flags": flags,
    }


def _write_report(course: Course) -> tuple[Path, Path]:
    from autograder.report import collect, write_csv, write_html

    collected = collect(course)
    page, table = course.root / "report.html", course.root / "grades.csv"
    write_html(collected, page)
    write_csv(collected, table)
    return page, table


# ---------------------------------------------------------------- telling


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{60 * task.speed:.1f}/min" if task.speed else "")


def _kill_table(lesson: str, table: dict[str, dict[str, dict[str, int]]]) -> Table:
    from autograder.cases import shares

    view = Table(title=lesson, title_justify="left")
    view.add_column("exercise")
    view.add_column("misconceptions caught", justify="right")
    view.add_column("alternatives accepted", justify="right")
    for row in shares(table):
        view.add_row(*row)
    return view


def _print_verdict(verdict: Verdict) -> None:
    case = verdict.case
    colour, word = "green" if verdict.right else "red", "passes" if verdict.passed else "fails"
    said = f"{case.exercise}: {case.role} “{case.name}” {word}"
    err.print(Text.assemble((said, colour), f" ({verdict.seconds:.1f} s)"))
    if verdict.message:
        err.print("    " + verdict.message.replace("\n", "\n    "), markup=False, highlight=False)


def _scores(graded: list[Graded]) -> Table:
    view = Table("assignment", "student", title="Scores", title_justify="left")
    view.add_column("score", justify="right")
    for g in graded:
        view.add_row(g.assignment, Text(g.student), f"{g.score:g} / {g.max_score:g}")
    return view


def _print_flags(graded: list[Graded]) -> None:
    for g in graded:
        for flag in g.flags:
            err.print(f"look at {g.student}, {g.assignment}: {flag}", markup=False, highlight=False, soft_wrap=True)


def _demo_table(rows: list[Any]) -> Table:
    view = Table("student", "what was handed in", title="The made-up class", title_justify="left")
    view.add_column("score", justify="right")
    view.add_column("due", justify="right")
    view.add_column("exercises lost")
    for row in rows:
        colour = "green" if row.right else "red"
        lost = row.lost if len(row.lost) <= 3 else [*row.lost[:2], f"and {len(row.lost) - 2} more"]
        view.add_row(row.student, row.story, f"[{colour}]{row.score:g}[/]", f"{row.due:g}", ", ".join(lost) or "-")
    return view


def main() -> None:
    """Run the command; an error that the user can mend is one clear line, not a stack."""
    # jsonschema tries it for a check of IRIs that no notebook needs; to import it takes longer than all else together.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        app()
    except Exception as error:
        if not _is_for_the_user(error):
            raise
        err.print(Text.assemble(("autograder: ", "red"), str(error)), soft_wrap=True)
        sys.exit(2)


def _is_for_the_user(error: Exception) -> bool:
    from autograder.build import BuildError
    from autograder.course import CourseError
    from autograder.sandbox import SandboxError
    from autograder.source import SourceError
    from autograder.validate import NotebookError

    ours = (SourceError, BuildError, CourseError, NotebookError, SandboxError)
    return isinstance(error, (*ours, FileNotFoundError, PermissionError))
