"""The commands that only choose and print: what they print, and the one line for a mistake."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from autograder import cli
from autograder.course import Course
from tests.test_similar import LOOP, RENAMED

Command = Callable[..., Result]


@pytest.fixture
def command(course: Course) -> Command:
    """Run `autograder` on the course."""
    return lambda *words: CliRunner().invoke(cli.app, [*words, "--course", str(course.root)])


@pytest.fixture
def roster(course: Course) -> None:
    with course.gradebook() as gradebook:
        for student in ("ada", "=cmd()"):
            gradebook.add_student(student, lms_user_id="1")
            gradebook.add_submission("week", student).notebooks[0].grades[0].needs_manual_grade = True
        gradebook.db.commit()


@pytest.mark.usefixtures("roster")
def test_export_writes_the_file_and_says_who_is_not_in_it(command: Command, course: Course) -> None:
    run = command("export", "canvas", "--column", "week=42")
    assert run.exit_code == 0, run.output
    assert f"{course.root}/canvas.csv (1 students)" in run.output
    assert "left out: '=cmd()', whose id would be a formula" in run.output
    assert "week of ada is empty: an answer waits to be graded by a person" in run.output
    with (course.root / "canvas.csv").open(newline="") as file:
        assert next(csv.reader(file))[-1] == "week (42)"


@pytest.mark.usefixtures("roster")
def test_export_for_moodle_goes_where_it_is_told(command: Command, tmp_path: Path) -> None:
    run = command("export", "moodle", "week", "--output", str(tmp_path / "moodle.csv"))
    assert run.exit_code == 0, run.output
    assert "week (Real)" in (tmp_path / "moodle.csv").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("canvas", "--column", "weak=42"), "is no ASSIGNMENT=ID with one of week"),
        (("canvas", "--column", "week"), "is no ASSIGNMENT=ID with one of week"),
        (("moodle", "--column", "week=42"), "--column is Canvas's"),
    ],
)
def test_export_names_a_column_that_can_not_be(command: Command, words: tuple[str, ...], said: str) -> None:
    run = command("export", *words)
    assert run.exit_code == 2
    assert said in " ".join(run.output.replace("│", " ").split())


def test_similar_lists_pairs_for_a_person_and_for_scripts(command: Command, hand_in: Callable[..., Path]) -> None:
    for student, answer in {"ada": LOOP, "bob": RENAMED}.items():
        hand_in(student, double=answer)
    assert (
        "ada and bob are similar, for a person to look at (100% and 100%; double)" in command("similar", "week").output
    )
    (pair,) = json.loads(command("similar", "week", "--json").output)
    assert (pair["student_a"], pair["student_b"], pair["similarity_a"]) == ("ada", "bob", 1.0)
    assert "is a share, from 0 to 1" in command("similar", "week", "--threshold", "7").output


def test_similar_says_when_there_is_none(command: Command) -> None:
    assert command("similar", "week").output == "no similar pairs\n"
