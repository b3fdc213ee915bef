"""Gradebooks that Canvas and Moodle import, from nbgrader's gradebook and roster.

Canvas finds a student by ID (nbgrader's `lms_user_id`), else by SIS Login ID (the student's id in this course). Moodle
finds one by ID number (`lms_user_id`), username (the id in this course) or email, as whoever imports the file chooses.

Both compare these to the letter, and Moodle refuses a whole file for one stranger. So what identifies a student is
written as it is or not at all: where it would be a formula to a spreadsheet, the student is left out and named. Names
and feedback, which neither compares, are made text by an apostrophe.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nbgrader.api import (
    Assignment,
    Grade,
    Notebook,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import case, func, select

from autograder.course import Course, CourseError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Result:
    """A student's points for one assignment, late penalty counted; `final` when no answer waits for a person."""

    points: float
    late_penalty: float
    final: bool
    lessons: Mapping[str, tuple[float, float]]  # points, of how many

    @property
    def feedback(self) -> str:
        parts = [f"{name} {_number(points)}/{_number(most)}" for name, (points, most) in sorted(self.lessons.items())]
        late = [f"late {_number(-self.late_penalty)}"] if self.late_penalty else []
        return "; ".join(parts + late)


@dataclass(frozen=True)
class Person:
    """A student of the roster, with results by assignment: none for what was not handed in."""

    id: str
    first_name: str
    last_name: str
    email: str
    lms_user_id: str
    results: Mapping[str, Result]

    @property
    def name(self) -> str:
        """As Canvas writes it: "Last, First"."""
        return ", ".join(filter(None, (self.last_name, self.first_name))) or self.id


@dataclass(frozen=True)
class Gradebook:
    """What is exported: each assignment with its points, and the class."""

    assignments: Mapping[str, float]
    people: tuple[Person, ...]


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    `left_out` names the students that have no row, for their id is a formula; `waiting` the (student, assignment) that
    have no grade in it, for an answer waits to be graded by a person.
    """

    path: Path
    students: int
    left_out: tuple[str, ...]
    waiting: tuple[tuple[str, str], ...]


# ---------------------------------------------------------------- read


def read(course: Course, assignments: Sequence[str] = ()) -> Gradebook:
    """The class as the gradebook knows it.

    Args:
        course: an nbgrader course directory.
        assignments: those to export; default: all.

    Raises:
        CourseError: an assignment is not in the gradebook.
    """
    with course.gradebook() as gradebook:
        most = dict(gradebook.db.execute(select(Assignment.name, Assignment.max_score).order_by(Assignment.name)).all())
        for name in assignments:
            if name not in most:
                raise CourseError(f"{course.root}: no assignment {name!r} in the gradebook (there: {', '.join(most)})")
        chosen = {name: float(points) for name, points in most.items() if not assignments or name in assignments}
        rows = gradebook.db.execute(_SCORES.where(Assignment.name.in_(chosen))).all()
        people = gradebook.db.execute(select(*_PERSON).order_by(Student.id)).all()
    lessons: dict[tuple[str, str], list[_Lesson]] = defaultdict(list)
    for student, assignment, *lesson in rows:
        lessons[student, assignment].append(_Lesson(*lesson))

    def results(student: str) -> dict[str, Result]:
        return {name: _result(lessons[student, name]) for name in chosen if (student, name) in lessons}

    return Gradebook(chosen, tuple(_person(results(person[0]), *(fact or "" for fact in person)) for person in people))


def _person(results: dict[str, Result], id: str, first: str, last: str, email: str, lms_user_id: str) -> Person:
    return Person(id, first, last, email, lms_user_id, results)


class _Lesson(NamedTuple):
    name: str
    points: float
    max_points: float
    late_penalty: float
    waiting: int  # answers


_PERSON = (Student.id, Student.first_name, Student.last_name, Student.email, Student.lms_user_id)
_SCORES = (
    select(
        SubmittedAssignment.student_id,
        Assignment.name,
        Notebook.name,
        func.sum(Grade.score),
        func.sum(Grade.max_score),
        func.max(func.coalesce(SubmittedNotebook.late_submission_penalty, 0.0)),
        func.sum(case((Grade.needs_manual_grade, 1), else_=0)),
    )
    .select_from(Grade)
    .join(Grade.notebook)
    .join(SubmittedNotebook.notebook)
    .join(SubmittedNotebook.assignment)
    .join(SubmittedAssignment.assignment)
    .group_by(SubmittedAssignment.student_id, Assignment.name, Notebook.name)
)


def _result(lessons: Sequence[_Lesson]) -> Result:
    late = sum(lesson.late_penalty for lesson in lessons)
    return Result(
        max(0.0, sum(lesson.points for lesson in lessons) - late),
        late,
        not any(lesson.waiting for lesson in lessons),
        {lesson.name: (lesson.points, lesson.max_points) for lesson in lessons},
    )


# ---------------------------------------------------------------- write


def write_canvas(gradebook: Gradebook, path: Path, ids: Mapping[str, str] | None = None) -> Exported:
    """Write `path` for Canvas: Grades, Import.

    Args:
        gradebook: see `read`.
        path: the CSV file.
        ids: assignment -> its id in Canvas. With it Canvas fills the assignment that it has; without, it asks whether
            the column is a new one.
    """
    titles = {name: f"{name} ({ids[name]})" if ids and name in ids else name for name in gradebook.assignments}
    header = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles.values()]
    # Indented as in Canvas's own files.
    possible = ["    Points Possible", "", "", "", "", *map(_number, gradebook.assignments.values())]
    kept, left_out = _sorted_out(gradebook.people, lambda p: (p.lms_user_id, p.id))
    rows = [
        [_text(p.name), p.lms_user_id, "", p.id, "", *(_grade(p.results.get(a)) for a in gradebook.assignments)]
        for p in kept
    ]
    _write(path, [header, possible, *rows])
    return Exported(path, len(kept), left_out, _waiting(kept))


def write_moodle(gradebook: Gradebook, path: Path) -> Exported:
    """Write `path` for Moodle: Grades, Import, CSV file, and there "Map to" for each column.

    Each assignment has its feedback beside it, for Moodle drops grades that feedback is imported without.
    """
    columns = [f"{name} ({kind})" for name in gradebook.assignments for kind in ("Real", "Feedback")]
    header = ["First name", "Last name", "ID number", "Username", "Email address", *columns]
    kept, left_out = _sorted_out(gradebook.people, lambda p: (p.lms_user_id, p.id, p.email))
    rows = []
    for p in kept:
        row = [_text(p.first_name), _text(p.last_name), p.lms_user_id, p.id, p.email]
        for result in (p.results.get(name) for name in gradebook.assignments):
            row += [_grade(result), _text(result.feedback) if result and result.final else ""]
        rows.append(row)
    _write(path, [header, *rows])
    return Exported(path, len(kept), left_out, _waiting(kept))


def _sorted_out(
    people: Iterable[Person], identity: Callable[[Person], Iterable[str]]
) -> tuple[list[Person], tuple[str, ...]]:
    """Those that can be named without a formula, and the ids of the others."""
    people = list(people)
    kept = [p for p in people if not any(part.startswith(_FORMULA) for part in identity(p))]
    return kept, tuple(p.id for p in people if p not in kept)


def _waiting(people: Iterable[Person]) -> tuple[tuple[str, str], ...]:
    return tuple((p.id, name) for p in people for name, result in sorted(p.results.items()) if not result.final)


def _grade(result: Result | None) -> str:
    """Empty for what was not handed in or is not final: to both platforms, no grade."""
    return _number(result.points) if result and result.final else ""


def _number(value: float) -> str:
    return f"{round(value, 2):.2f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows(rows)
