"""Cases: wrong and alternative answers that prove a lesson's tests, and the kill table they give.

`<lesson>_cases.py` is a percent script; each cell is a whole answer to one exercise, marked
``misconception="name" exercise="name"`` or ``alternative="name" exercise="name"``; its first comment gives the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autograder.source import Lesson, MarkedCell, SourceError, read_cells

Role = Literal["misconception", "alternative", "reference", "untouched"]


@dataclass(frozen=True)
class Case:
    """An answer to one exercise whose right verdict is known."""

    role: Role
    name: str
    exercise: str
    source: str
    why: str = ""

    @property
    def should_pass(self) -> bool:
        return self.role in ("alternative", "reference")


@dataclass(frozen=True)
class Verdict:
    """What the test cell said of a case."""

    case: Case
    passed: bool
    message: str
    seconds: float

    @property
    def right(self) -> bool:
        return self.passed == self.case.should_pass


def read_cases(lesson: Lesson) -> list[Case]:
    """The lesson's cases in the order of its exercises; an absent file has none.

    Raises:
        SourceError: a cell without a role, of an unknown exercise, doubled, or without its reason.
    """
    if not lesson.cases_path.exists():
        return []
    order = [cell.name for cell in lesson.of_kind("exercise")]
    cases: dict[tuple[str, str], Case] = {}
    for cell in read_cells(lesson.cases_path):
        if cell.markdown or not cell.source.strip():
            continue
        case = _case(lesson, cell, order)
        if (case.exercise, case.name) in cases:
            raise SourceError(lesson.cases_path, cell.line, f"case {case.name!r} of {case.exercise!r} stands twice")
        cases[case.exercise, case.name] = case
    return sorted(cases.values(), key=lambda case: order.index(case.exercise))


def _case(lesson: Lesson, cell: MarkedCell, exercises: Sequence[str]) -> Case:
    path = lesson.cases_path
    roles: list[Role] = [role for role in ("misconception", "alternative") if role in cell.marks]
    if len(roles) != 1 or set(cell.marks) != {roles[0], "exercise"}:
        raise SourceError(path, cell.line, 'a case is marked misconception="…" or alternative="…", and exercise="…"')
    exercise = str(cell.marks["exercise"])
    if exercise not in exercises:
        raise SourceError(path, cell.line, f"{lesson.id} has no exercise {exercise!r}")
    why = _leading_comment(cell.source)
    if not why:
        raise SourceError(path, cell.line, "a case begins with a comment that says why a student would write it")
    return Case(roles[0], str(cell.marks[roles[0]]), exercise, cell.source, why)


def _leading_comment(source: str) -> str:
    lines: list[str] = []
    for line in source.split("\n"):
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(lines)


# ---------------------------------------------------------------- the kill table


def kill_table(verdicts: Iterable[Verdict]) -> dict[str, dict[str, dict[str, int]]]:
    """exercise -> ``{"misconceptions": {"caught", "all"}, "alternatives": {"accepted", "all"}}``."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for verdict in verdicts:
        row = table.setdefault(
            verdict.case.exercise,
            {"misconceptions": {"caught": 0, "all": 0}, "alternatives": {"accepted": 0, "all": 0}},
        )
        if verdict.case.role == "misconception":
            row["misconceptions"]["caught"] += not verdict.passed
            row["misconceptions"]["all"] += 1
        elif verdict.case.role == "alternative":
            row["alternatives"]["accepted"] += verdict.passed
            row["alternatives"]["all"] += 1
    return table


def shares(table: dict[str, dict[str, dict[str, int]]]) -> Iterator[tuple[str, str, str]]:
    """(exercise, misconceptions caught / all, alternatives accepted / all), as both tables show them."""
    for exercise, row in table.items():
        caught, accepted = row["misconceptions"], row["alternatives"]
        yield exercise, f"{caught['caught']} / {caught['all']}", f"{accepted['accepted']} / {accepted['all']}"


def markdown(lesson: str, verdicts: Sequence[Verdict]) -> str:
    """A lesson's section of docs/kill_table.md: the counts, and below them every case by name."""
    table = kill_table(verdicts)
    lines = [f"## {lesson}", "", "| exercise | misconceptions caught | alternatives accepted |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in shares(table)]
    for exercise in table:
        of_it = [v.case for v in verdicts if v.case.exercise == exercise]
        wrong = ", ".join(case.name for case in of_it if case.role == "misconception")
        right = ", ".join(case.name for case in of_it if case.role == "alternative")
        lines += ["", f"**{exercise}** catches: {wrong}. Accepts: {right}."]
    return "\n".join(lines) + "\n"


def page(judged: Mapping[str, Sequence[Verdict]]) -> str:
    """docs/kill_table.md: a section for each lesson."""
    return "\n".join([_PAGE_HEAD, *(markdown(lesson, verdicts) for lesson, verdicts in judged.items())])


_PAGE_HEAD = """\
# The kill table

What proves each exercise's tests: the wrong answers that they catch, and the right ones, differently written, that
they accept. Every line was graded; `make cases` writes this page, and a test fails when it is out of step.
"""


def too_few(table: dict[str, dict[str, dict[str, Any]]], misconceptions: int = 4, alternatives: int = 2) -> list[str]:
    """Exercises whose tests are not proven by enough cases, each as a line for a person."""
    return [
        f"{exercise}: {row['misconceptions']['all']} misconceptions and {row['alternatives']['all']} alternatives"
        f" (at least {misconceptions} and {alternatives} are wanted)"
        for exercise, row in table.items()
        if row["misconceptions"]["all"] < misconceptions or row["alternatives"]["all"] < alternatives
    ]
