"""A made-up class whose right grades are known: the answers come from the lessons' own cases.

Each student hands in week 2, so the demonstration exercises the whole loop on real input, and fails when any grade is
not the one that is due, exercise by exercise.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from autograder.build import build
from autograder.cases import read_cases
from autograder.course import Course, CourseError
from autograder.grade import Graded, Submission, find_submissions
from autograder.sandbox import Limits
from autograder.source import Lesson, find_lessons, read_lesson

ASSIGNMENT = "week02_autodiff"
LIMITS = Limits(cell_seconds=15)


@dataclass(frozen=True)
class Student:
    """What a made-up student hands in, and the exercises that this must lose."""

    name: str
    story: str
    answers: dict[str, str]  # exercise -> source of its cell
    loses: frozenset[str]
    garbled: str | None = None  # a lesson whose file is cut in half


@dataclass(frozen=True)
class Row:
    """A student's grade beside the one that is due."""

    student: str
    story: str
    score: float
    due: float
    lost: list[str]
    right: bool


def set_up(course: Course, solutions: Path) -> tuple[list[Submission], dict[str, Student]]:
    """Build week 2 into a fresh course directory and hand in for the class.

    Raises:
        CourseError: the directory holds something that no demonstration made.
    """
    marker = course.root / ".demo"
    if course.root.exists() and any(course.root.iterdir()) and not marker.exists():
        raise CourseError(f"{course.root}: is not empty and was not made by the demo; name another with --course")
    shutil.rmtree(course.root, ignore_errors=True)
    course.root.mkdir(parents=True)
    marker.touch()
    lessons = [read_lesson(path) for path in find_lessons(solutions, [ASSIGNMENT])]
    build(lessons, course, course.root / "notebooks")
    students = _class(lessons)
    for student in students:
        _hand_in(course, lessons, student)
    return find_submissions(course, (ASSIGNMENT,)), {student.name: student for student in students}


def compare(graded: Iterable[Graded], students: dict[str, Student]) -> list[Row]:
    """Each grade beside the one that is due; right when just the due exercises were lost."""
    rows = []
    for g in graded:
        student = students[g.student]
        lost = [name for name, (points, most) in g.exercises.items() if points < most]
        due = sum(most for name, (_, most) in g.exercises.items() if name not in student.loses)
        right = set(lost) == student.loses and g.score == due
        rows.append(Row(student.name, student.story, g.score, due, lost, right))
    return sorted(rows, key=lambda row: -row.due)


def _class(lessons: list[Lesson]) -> list[Student]:
    everything = frozenset(cell.name for lesson in lessons for cell in lesson.of_kind("exercise"))
    reference = {c.name: c.without() for lesson in lessons for c in lesson.of_kind("exercise")}
    cases = [case for lesson in lessons for case in read_cases(lesson)]
    other = {case.exercise: case.source for case in reversed(cases) if case.role == "alternative"}
    first, second = lessons
    middle, last = _exercises(first)[len(_exercises(first)) // 2], _exercises(second)[-1]
    students = [
        Student("ada", "the reference solution", reference, frozenset()),
        Student("barbara", "another right answer to every exercise", {**reference, **other}, frozenset()),
        Student("carl", "correct, with warnings on stderr", {**reference, last: _NOISE + reference[last]}, frozenset()),
        Student("dana", "the untouched release", {}, everything),
        Student("emil", "an infinite loop", {**reference, last: "while True:\n    pass"}, frozenset({last})),
        Student("fay", f"a crash in {middle}", {**reference, middle: "import os\nos._exit(1)"}, frozenset({middle})),
        Student(
            "gus", f"{second.name} as a corrupt file", reference, frozenset(_exercises(second)), garbled=second.name
        ),
    ]
    wrong = [case for case in cases if case.role == "misconception"]
    for name, exercise in zip(("hana", "ivan", "june"), ALONE, strict=True):
        case = next((case for case in wrong if case.exercise == exercise), None)
        if case is None:
            raise CourseError(f"the demo wants a misconception of {exercise!r}, and {ASSIGNMENT} has none")
        answers = {**reference, exercise: case.source}
        students.append(Student(name, f"{exercise}: {case.name}", answers, frozenset({exercise})))
    return students


# Exercises that no later one builds on, so that a wrong answer loses one exercise and no other.
ALONE = ("index_vjp", "gradcheck", "swiglu")

_NOISE = 'import sys, warnings\nwarnings.warn("deprecated")\nprint("50%|#####     |", file=sys.stderr)\n'


def _exercises(lesson: Lesson) -> list[str]:
    return [cell.name for cell in lesson.of_kind("exercise")]


def _hand_in(course: Course, lessons: list[Lesson], student: Student) -> None:
    folder = course.submitted_path(student.name, ASSIGNMENT)
    folder.mkdir(parents=True)
    for lesson in lessons:
        path = folder / f"{lesson.name}.ipynb"
        notebook = nbformat.read(course.release_path(ASSIGNMENT, lesson.name), as_version=4)
        for cell in notebook.cells:
            name = cell.id.removeprefix("exercise-")
            if cell.id.startswith("exercise-") and name in student.answers:
                cell.source = student.answers[name]
        nbformat.write(notebook, path)
        if lesson.name == student.garbled:
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])
