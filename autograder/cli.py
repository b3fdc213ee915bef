"""The `autograder` command: what an instructor types. Each command parses, calls one function and prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from autograder import cases as case_tables
from autograder.build import BuildError, build
from autograder.cases import Verdict
from autograder.course import Course, CourseError
from autograder.snapshot import judge_lessons
from autograder.source import SourceError, find_lessons, read_lesson

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
out, err = Console(), Console(stderr=True)

Lessons = Annotated[list[str] | None, typer.Argument(help="assignments or lessons; default: all", show_default=False)]
Solutions = Annotated[Path, typer.Option(help="where the lessons are written")]
CourseDir = Annotated[Path, typer.Option("--course", help="the nbgrader course directory")]
Db = Annotated[str | None, typer.Option(help="gradebook as an SQLAlchemy URL; default: SQLite in the course directory")]
Json = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]


@app.command("build")
def build_command(
    lessons: Lessons = None,
    solutions: Solutions = Path("solutions"),
    course: CourseDir = Path("course"),
    notebooks: Annotated[Path, typer.Option(help="where students open them")] = Path("notebooks"),
    db: Db = None,
) -> None:
    """Build instructor notebooks and releases; never over a notebook that somebody edited."""
    read = [read_lesson(path) for path in find_lessons(solutions, lessons or ())]
    for built in build(read, Course(course, db), notebooks):
        out.print(str(built.placed), highlight=False, soft_wrap=True)


@app.command()
def cases(
    lessons: Lessons = None,
    solutions: Solutions = Path("solutions"),
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show the message that each case got")] = False,
    seconds: Annotated[float, typer.Option(help="a case that runs longer is stopped")] = 20,
) -> None:
    """Grade every case: are misconceptions caught, alternatives accepted? Exits with 1 when one is judged wrong."""
    tables: dict[str, Any] = {}
    wrong = 0
    verdicts: dict[str, list[Verdict]] = {}
    for item in judge_lessons(find_lessons(solutions, lessons or ()), seconds=seconds):
        if isinstance(item, str):
            verdicts[lesson := item] = []
        else:
            verdicts[lesson].append(item)
    for lesson, judged in verdicts.items():
        tables[lesson] = case_tables.kill_table(judged)
        mistaken = [v for v in judged if not v.right]
        thin = case_tables.too_few(tables[lesson])
        wrong += len(mistaken) + len(thin)
        if not as_json:
            _print_kill_table(lesson, tables[lesson])
        for verdict in judged if verbose else mistaken:
            _print_verdict(verdict)
        for line in thin:
            err.print(f"[red]{lesson}: {line}", highlight=False)
    if as_json:
        print(json.dumps(tables, indent=2))
    raise typer.Exit(1 if wrong else 0)


def _print_kill_table(lesson: str, table: dict[str, dict[str, dict[str, int]]]) -> None:
    view = Table(title=lesson, title_justify="left")
    view.add_column("exercise")
    view.add_column("misconceptions caught", justify="right")
    view.add_column("alternatives accepted", justify="right")
    for exercise, row in table.items():
        caught, accepted = row["misconceptions"], row["alternatives"]
        view.add_row(exercise, f"{caught['caught']} / {caught['all']}", f"{accepted['accepted']} / {accepted['all']}")
    out.print(view)


def _print_verdict(verdict: Verdict) -> None:
    case = verdict.case
    word = "passes" if verdict.passed else "fails"
    colour = "green" if verdict.right else "red"
    err.print(
        f"[{colour}]{case.exercise}: {case.role} “{case.name}” {word}[/] ({verdict.seconds:.1f} s)", highlight=False
    )
    if verdict.message:
        err.print("    " + verdict.message.replace("\n", "\n    "), markup=False, highlight=False)


def main() -> None:
    """Run the command; an error that the user can mend is one clear line, not a stack."""
    try:
        app()
    except (SourceError, BuildError, CourseError, FileNotFoundError) as error:
        err.print(f"[red]autograder:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
