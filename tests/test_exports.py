"""Gradebooks for Canvas and Moodle, as they would be read there."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from autograder import exports
from autograder.course import Course, CourseError

ROSTER: dict[str, dict[str, str]] = {
    "ada": {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org", "lms_user_id": "1815"},
    "bob": {"first_name": '=HYPERLINK("x")', "last_name": "@SUM(A1)", "email": "bob@example.org"},
    "=cmd()": {"first_name": "Mallory"},
    "-1+1": {"lms_user_id": "2"},
    "zoë 🦊": {"first_name": "Zoë", "last_name": 'O"Neil, the\nsecond', "email": "zoë@example.org"},
    "absent": {},
    "waiting": {},
}


@pytest.fixture
def graded(course: Course) -> Course:
    """Everybody but `absent` handed in and has 2 points of 3 and 3.5 of 4; `waiting` waits for the latter."""
    with course.gradebook() as gradebook:
        for student, facts in ROSTER.items():
            gradebook.add_student(student, **facts)
        for student in ROSTER.keys() - {"absent"}:
            (part,) = gradebook.add_submission("week", student).notebooks
            part.late_submission_penalty = {"zoë 🦊": 1.5, "bob": 100.0}.get(student)
            for mark in part.grades:
                mark.auto_score = 2 * (mark.name == "test_double")
                mark.manual_score = 3.5 if mark.name == "why" and student != "waiting" else None
                mark.needs_manual_grade = mark.name == "why" and student == "waiting"
        gradebook.db.commit()
    return course


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_canvas_gets_its_columns_and_rows(graded: Course, tmp_path: Path) -> None:
    made = exports.write_canvas(exports.read(graded), tmp_path / "canvas.csv", {"week": "42"})
    header, possible, *people = rows(made.path)
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "week (42)"]
    assert possible == ["    Points Possible", "", "", "", "", "7"]
    assert people == [
        ["absent", "", "", "absent", "", ""],
        ["Lovelace, Ada", "1815", "", "ada", "", "5.5"],
        ['\'@SUM(A1), =HYPERLINK("x")', "", "", "bob", "", "0"],
        ["waiting", "", "", "waiting", "", ""],
        ['O"Neil, the\nsecond, Zoë', "", "", "zoë 🦊", "", "4"],
    ]
    assert made.students == 5


def test_moodle_gets_its_columns_and_rows(graded: Course, tmp_path: Path) -> None:
    made = exports.write_moodle(exports.read(graded), tmp_path / "moodle.csv")
    by_id = {row["Username"]: row for row in csv.DictReader(made.path.open(encoding="utf-8", newline=""))}
    assert by_id["ada"] == {
        "First name": "Ada",
        "Last name": "Lovelace",
        "ID number": "1815",
        "Username": "ada",
        "Email address": "ada@example.org",
        "week (Real)": "5.5",
        "week (Feedback)": "small 5.5/7",
    }
    assert by_id["zoë 🦊"]["week (Feedback)"] == "small 5.5/7; late -1.5"
    assert by_id["bob"]["First name"] == '\'=HYPERLINK("x")'
    assert by_id["waiting"]["week (Real)"] == by_id["waiting"]["week (Feedback)"] == ""


@pytest.mark.parametrize("write", [exports.write_canvas, exports.write_moodle])
def test_no_cell_is_a_formula_and_whom_that_costs_is_told(graded: Course, tmp_path: Path, write: Any) -> None:
    made = write(exports.read(graded), tmp_path / "export.csv")
    cells = [cell for row in rows(made.path) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert set(made.left_out) == {"=cmd()", "-1+1"}


@pytest.mark.parametrize("write", [exports.write_canvas, exports.write_moodle])
def test_a_grade_that_is_not_final_is_left_empty_and_told(graded: Course, tmp_path: Path, write: Any) -> None:
    assert write(exports.read(graded), tmp_path / "export.csv").waiting == (("waiting", "week"),)


def test_an_unknown_assignment_is_named(graded: Course) -> None:
    with pytest.raises(CourseError, match=r"no assignment 'weak' in the gradebook \(there: week\)"):
        exports.read(graded, ["weak"])
    assert list(exports.read(graded, ["week"]).assignments) == ["week"]


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (2 / 3, "0.67"), (10.0, "10"), (1234567.5, "1234567.5")])
def test_numbers_are_plain(value: float, text: str) -> None:
    assert exports._number(value) == text
