"""The made-up class gets the grades that are due, here and under stock nbgrader."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbgrader.apps import NbGraderAPI
from nbgrader.validator import Validator

from autograder.course import Course, CourseError
from autograder.demo import ASSIGNMENT, LIMITS, compare, set_up
from autograder.execute import Settings
from autograder.grade import grade

SOLUTIONS = Path(__file__).parent.parent / "solutions"
HONEST = ("ada", "barbara", "carl", "dana", "hana", "ivan", "june")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    course = Course(tmp_path_factory.mktemp("demo") / "course")
    submissions, students = set_up(course, SOLUTIONS)
    return course, students, grade(course, submissions, settings=Settings(5, LIMITS))


def test_everybody_gets_the_grade_that_is_due(demo):
    _, students, graded = demo
    rows = compare(graded, students)
    assert len(rows) == len(students)
    assert [row for row in rows if not row.right] == []


def test_stock_nbgrader_gives_the_honest_the_same_scores(demo):
    course, _, graded = demo
    stock = Course(course.root, db=f"sqlite:///{course.root / 'stock.db'}")
    shutil.copy(course.root / "gradebook.db", course.root / "stock.db")
    with stock.gradebook() as gradebook:
        for student in HONEST:
            gradebook.remove_submission(ASSIGNMENT, student)
    config = stock.config()
    config.CourseDirectory.autograded_directory = "stock"
    for student in HONEST:
        result = NbGraderAPI(config=config).autograde(ASSIGNMENT, student)
        assert result["success"], result["error"]
    with stock.gradebook() as gradebook:
        scores = {student: gradebook.find_submission(ASSIGNMENT, student).score for student in HONEST}
    assert scores == {g.student: g.score for g in graded if g.student in HONEST}


def test_the_demo_touches_no_folder_that_it_did_not_make(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CourseError, match="is not empty and was not made by the demo"):
        set_up(Course(tmp_path), SOLUTIONS)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("lesson", ["reverse_mode", "computation_graph"])
def test_nbgraders_validate_passes_what_is_right_and_names_what_is_not(demo, lesson):
    course, *_ = demo
    right, untouched = (course.submitted_path(name, ASSIGNMENT) / f"{lesson}.ipynb" for name in ("ada", "dana"))
    assert Validator().validate(str(right)) == {}
    failed = Validator().validate(str(untouched))["failed"]
    tests = [cell for cell in nbformat.read(untouched, as_version=4).cells if cell.id.startswith("test-")]
    assert [cell["source"] for cell in failed] == [cell.source.strip() for cell in tests]
