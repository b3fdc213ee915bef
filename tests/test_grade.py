"""A class with every kind of submission is graded, and nobody's trouble becomes somebody else's."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import nbformat
import pytest

from autograder import feedback
from autograder.course import Course, CourseError
from autograder.execute import Settings, execute
from autograder.grade import find_submissions, grade
from autograder.sandbox import Limits
from autograder.validate import NotebookError, validate

RIGHT = {"double": "def double(x): return 2 * x", "triple": "def triple(x): return 3 * x"}

ANSWERS = {
    "right": RIGHT,
    "untouched": {},
    "half": {**RIGHT, "triple": "def triple(x): return x + 4"},
    "visible-only": {**RIGHT, "double": "def double(x): return 4"},
    "warns": {
        **RIGHT,
        "double": "import os, sys, warnings\ndef double(x):\n    warnings.warn('hm')\n"
        "    print('50%', file=sys.stderr)\n"
        "    os.write(2, b'low level')\n    return 2 * x",
    },
    "leftover": {**RIGHT, "double": "def double(x):\n    y = 2 * x\n    raise NotImplementedError('delete this line')"},
    "hidden-error": {**RIGHT, "triple": "def triple(x): return 6 if x > 0 else x.nothing"},
    "loops": {**RIGHT, "double": "def double(x):\n    while True: pass"},
    "loops-on": {
        **RIGHT,
        "double": "def double(x):\n    while True:\n        try:\n            while True: sum(range(9))\n"
        "        except BaseException: pass",
    },
    "dies": {**RIGHT, "triple": "import os\ndef triple(x): os._exit(1)"},
    "floods": {**RIGHT, "double": "print('a line\\n' * 20000)\ndef double(x): return 2 * x"},
    "says-ok": {"double": "def double(x): return 2 * x", "triple": "def triple(x): raise SystemExit(0)"},
}
SCORES = {
    "right": 3,
    "untouched": 0,
    "half": 2,
    "visible-only": 1,
    "warns": 3,
    "leftover": 1,
    "hidden-error": 2,
    "loops": 1,
    "loops-on": 1,  # what comes after it is judged in a process without it
    "dies": 2,
    "floods": 3,
    "says-ok": 2,
    "corrupt": 0,
    "empty-file": 0,
    "empty-folder": 0,
}
SETTINGS = Settings(seed=7, limits=Limits(cell_seconds=4))


@pytest.fixture(scope="module")
def graded(built_course, tmp_path_factory):
    """The class, graded once for all tests of this file: (course, student -> Graded)."""
    course = Course(shutil.copytree(built_course, tmp_path_factory.mktemp("class") / "course"))
    for student, answers in ANSWERS.items():
        notebook = nbformat.read(course.release_path("week", "small"), as_version=4)
        for cell in notebook.cells:
            cell.source = answers.get(cell.id.removeprefix("exercise-"), cell.source)
        nbformat.write(notebook, _path(course, student))
    _path(course, "corrupt").write_text('{"cells": [')
    _path(course, "empty-file").write_text("")
    _path(course, "empty-folder").with_name("notes.txt").write_text("sorry")
    seen = []
    results = grade(course, find_submissions(course), settings=SETTINGS, done=seen.append)
    assert sorted(g.student for g in seen) == sorted(SCORES)
    return course, {g.student: g for g in results}


def _path(course, student):
    path = course.submitted_path(student, "week") / "small.ipynb"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("student", SCORES)
def test_each_gets_the_points_that_are_due(graded, student):
    course, results = graded
    assert (results[student].score, results[student].max_score) == (SCORES[student], 7)
    with course.gradebook() as gradebook:
        assert gradebook.find_submission("week", student).score == SCORES[student]


def outcomes(course, student):
    notebook = nbformat.read(course.autograded_path(student, "week") / "small.ipynb", as_version=4)
    tests = {c.id: c.metadata.autograder for c in notebook.cells if c.id.startswith("test-")}
    return {name.removeprefix("test-"): (said.status, said.message) for name, said in tests.items()}


def test_each_outcome_is_told(graded):
    course, results = graded
    assert outcomes(course, "right") == {"double": ("passed", ""), "triple": ("passed", "")}
    assert "delete this line" in outcomes(course, "leftover")["double"][1]
    assert "AttributeError" in outcomes(course, "hidden-error")["triple"][1]
    assert outcomes(course, "loops")["double"] == ("timeout", "stopped after 4 s")
    assert outcomes(course, "loops")["triple"] == ("passed", "")
    assert outcomes(course, "loops-on")["double"][0] == "timeout"
    assert outcomes(course, "loops-on")["triple"][0] == "not run"
    assert outcomes(course, "dies")["triple"][0] == "died"
    assert "is no notebook" in results["corrupt"].flags[0].reason
    assert "is empty" in results["empty-file"].flags[0].reason
    assert "not handed in" in results["empty-folder"].flags[0].reason


def test_the_seed_of_the_run_is_recorded(graded):
    course, _ = graded
    notebook = nbformat.read(course.autograded_path("right", "week") / "small.ipynb", as_version=4)
    assert notebook.metadata.autograder.seed == 7


def test_demonstrations_do_not_run(graded):
    course, _ = graded
    notebook = nbformat.read(course.autograded_path("right", "week") / "small.ipynb", as_version=4)
    (explore,) = (c for c in notebook.cells if c.id.startswith("explore-"))
    assert explore.outputs == []


def test_feedback_is_written_for_everybody_and_leaks_nothing(graded):
    course, results = graded
    feedback.generate(course, [(student, "week") for student in results])
    for student in ANSWERS:
        page = (course.root / "feedback" / student / "week" / "small.html").read_text()
        for secret in ("HIDDEN TESTS", "check.rng", "triple(-5)", "successor", "MARK SCHEME"):
            assert secret not in page, f"{student}: feedback holds {secret!r}"
    page = (course.root / "feedback" / "hidden-error" / "week" / "small.html").read_text()
    assert "AttributeError" in page
    assert "x.nothing" in page
    corrupt = (course.root / "feedback" / "corrupt" / "week" / "small.html").read_text()
    assert "was not graded" in corrupt


def test_stock_nbgrader_gives_the_same_scores_to_the_honest(graded):
    course, _ = graded
    stock = Course(course.root, db=f"sqlite:///{course.root / 'stock.db'}")
    shutil.copy(course.root / "gradebook.db", course.root / "stock.db")
    config = stock.config()
    config.CourseDirectory.autograded_directory = "stock"
    with stock.gradebook() as gradebook:
        for submission in gradebook.assignment_submissions("week"):
            gradebook.remove_submission("week", submission.student.id)
    honest = ["right", "untouched", "half", "visible-only", "warns", "leftover", "hidden-error"]
    api = type(stock.api())(config=config)
    for student in honest:
        assert api.autograde("week", student)["success"]
    with stock.gradebook() as gradebook:
        scores = {student: gradebook.find_submission("week", student).score for student in honest}
    assert scores == {student: SCORES[student] for student in honest}


def test_a_manual_grade_survives_grading_again(course, hand_in):
    hand_in("ada", **RIGHT)
    with ThreadPoolExecutor(1) as pool:
        grade(course, find_submissions(course), executor=pool)
    with course.gradebook() as gradebook:
        gradebook.find_grade("why", "small", "week", "ada").manual_score = 3.5
        gradebook.db.commit()
    (again,) = grade(course, find_submissions(course))
    assert again.score == 6.5


def test_an_unknown_assignment_and_an_empty_class_are_named(course):
    with pytest.raises(CourseError, match=r"no assignment 'weak' \(built: week\)"):
        find_submissions(course, ("weak",))
    with pytest.raises(CourseError, match="nothing was handed in"):
        find_submissions(course)


class _Broken(ThreadPoolExecutor):
    """An executor whose worker dies with whatever submission it was given."""

    def submit(self, function, *args, **kwargs):
        if function is not execute:
            return super().submit(function, *args, **kwargs)
        future = Future()
        future.set_exception(BrokenProcessPool("a worker was killed"))
        return future


def test_what_ran_nowhere_earns_nothing_whatever_it_says_of_itself(course, hand_in):
    path = hand_in("mallory")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata["autograder"] = {"status": "passed", "seconds": 0, "message": ""}
    nbformat.write(notebook, path)
    (graded,) = grade(course, find_submissions(course), executor=_Broken(1))
    assert graded.score == 0
    assert "could not be executed (BrokenProcessPool" in graded.flags[0].reason


def test_a_deleted_test_cell_is_put_back_and_runs(course, hand_in):
    path = hand_in("mallory", double=RIGHT["double"])
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("test-")]
    nbformat.write(notebook, path)
    (graded,) = grade(course, find_submissions(course))
    assert graded.exercises == {"double": (2, 2), "triple": (0, 1)}


def test_executing_is_pure(course):
    notebook = nbformat.read(course.release_path("week", "small"), as_version=4)
    before = nbformat.writes(notebook)
    execute(notebook, Settings(seed=1))
    assert nbformat.writes(notebook) == before


def test_a_notebook_has_a_time_limit_of_its_own(course):
    notebook = nbformat.read(course.release_path("week", "small"), as_version=4)
    run = execute(notebook, Settings(seed=1, limits=Limits(notebook_seconds=0)))
    said = {c.metadata.autograder.message for c in run.cells if "autograder" in c.metadata}
    assert said == {"not run: the notebook had used its 0 s"}


def test_validate_tells_what_a_student_would_get(course, hand_in, tmp_path):
    path = hand_in("ada", **RIGHT | {"triple": "def triple(x): return x + 4"})
    by_name = {outcome.exercise: outcome for outcome in validate(path)}
    assert (by_name["double"].points, by_name["double"].max_points) == (2, 2)
    assert by_name["triple"].points == 1  # 2 + 4 is 6: only the hidden part knows better
    (tmp_path / "no.ipynb").write_text("no")
    with pytest.raises(NotebookError, match="not a notebook"):
        validate(tmp_path / "no.ipynb")
    with pytest.raises(NotebookError, match="no such file"):
        validate(tmp_path / "none.ipynb")
