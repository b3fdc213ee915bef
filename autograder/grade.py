"""Grade a class: sanitise (nbgrader) -> execute (pure, on any executor) -> record (nbgrader, one writer)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader.converters import Autograde
from nbgrader.preprocessors import SaveAutoGrades
from nbgrader.utils import capture_log, is_grade, is_solution

from autograder.course import Course, CourseError
from autograder.execute import Limits, execute, score


@dataclass
class Submission:
    """One student's answer to one assignment on its way through the three phases."""

    student: str
    assignment: str
    notebooks: dict[str, NotebookNode] = field(default_factory=dict)  # lesson -> sanitised, later executed
    unreadable: dict[str, NotebookNode] = field(default_factory=dict)  # lesson -> what is recorded in its place
    problems: list[str] = field(default_factory=list)  # for a person to look at

    @property
    def key(self) -> tuple[str, str]:
        return self.assignment, self.student


@dataclass(frozen=True)
class Graded:
    """A submission that is in the gradebook, with its score and what a person should look at."""

    student: str
    assignment: str
    score: float
    max_score: float
    exercises: dict[str, tuple[float, float]]  # exercise -> points, of how many
    problems: tuple[str, ...]


def find_submissions(course: Course, assignments: tuple[str, ...] = ()) -> list[Submission]:
    """What was handed in, from ``submitted/<student>/<assignment>/``.

    Raises:
        CourseError: an assignment was never built in this course, or nothing was handed in.
    """
    built = sorted(p.name for p in (course.root / "release").glob("*") if p.is_dir())
    for assignment in assignments:
        if assignment not in built:
            there = ", ".join(built) or "none"
            raise CourseError(f"{course.root}: no assignment {assignment!r} (built: {there}); run 'autograder build'")
    folders = sorted((course.root / "submitted").glob("*/*"))
    found = [
        Submission(folder.parent.name, folder.name)
        for folder in folders
        if folder.is_dir() and folder.name in (assignments or built)
    ]
    if not found:
        raise CourseError(f"{course.root / 'submitted'}: nothing was handed in (submitted/STUDENT/ASSIGNMENT/*.ipynb)")
    return found


def grade(
    course: Course,
    submissions: list[Submission],
    *,
    limits: Limits | None = None,
    executor: Executor | None = None,
    seed: int | None = None,
    done: Callable[[Graded], None] = lambda graded: None,
) -> list[Graded]:
    """Grade `submissions` into the course's gradebook.

    Args:
        course: an nbgrader course directory in which the assignments were built.
        submissions: see `find_submissions`. One that can't be read is recorded with 0 and never stops the others.
        limits: see `execute`.
        executor: where `execute` runs; default: one process per core.
        seed: of the checks' inputs; drawn afresh when left out, and recorded in each autograded notebook.
        done: called with each submission once it is in the gradebook.
    """
    seed = secrets.randbits(31) if seed is None else seed
    results = []
    with executor or _one_process_per_core() as pool:
        for submission in _executed(pool, course, submissions, seed, limits or Limits()):
            graded = record(course, submission)
            results.append(graded)
            done(graded)
    return sorted(results, key=lambda g: (g.assignment, g.student))


def _one_process_per_core() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))


def _executed(
    pool: Executor, course: Course, submissions: list[Submission], seed: int, limits: Limits
) -> Iterator[Submission]:
    """Sanitise and execute all submissions, yielding each as soon as its last notebook is back."""
    running: dict[Future[NotebookNode], tuple[Submission, str]] = {}
    for submission in submissions:
        sanitise(course, submission)
        for lesson, notebook in submission.notebooks.items():
            running[pool.submit(execute, notebook, seed, limits)] = submission, lesson
        if not submission.notebooks:
            yield submission
    waiting = {s.key: len(s.notebooks) for s in submissions}
    for future in as_completed(running):
        submission, lesson = running[future]
        try:
            submission.notebooks[lesson] = future.result()
        except Exception as error:  # the machinery failed; what ran nowhere earns nothing, and a person is told
            reason = f"could not be executed ({type(error).__name__}: {_first_line(error)})"
            submission.problems.append(f"{lesson}.ipynb: {reason}")
            _say_why(submission.notebooks[lesson], f"{lesson}.ipynb was not graded: it {reason}.")
        waiting[submission.key] -= 1
        if not waiting[submission.key]:
            yield submission


# ---------------------------------------------------------------- sanitise


def sanitise(course: Course, submission: Submission) -> None:
    """Read a submission's notebooks and let nbgrader restore what students must not change.

    One that can't be read is named in `submission.problems`; the untouched release stands in for it, unexecuted.
    """
    folder = course.submitted_path(submission.student, submission.assignment)
    for release in sorted((course.root / "release" / submission.assignment).glob("*.ipynb")):
        path = folder / release.name
        if not path.exists():
            submission.problems.append(f"{release.name}: not handed in")
            continue
        try:
            notebook = nbformat.read(path, as_version=4)
            submission.notebooks[release.stem] = _sanitised(course, submission, release.stem, notebook)
        except Exception as error:  # any byte sequence may have been handed in
            reason = f"can't be read ({type(error).__name__}: {_first_line(error)})"
            submission.problems.append(f"{release.name}: {reason}")
            submission.unreadable[release.stem] = _stand_in(course, submission, release, reason)


def _sanitised(course: Course, submission: Submission, lesson: str, notebook: NotebookNode) -> NotebookNode:
    names = {"student": submission.student, "assignment": submission.assignment, "notebook": lesson}
    resources = {"unique_key": lesson, "nbgrader": names | {"db_url": course.db_url}}
    config = course.config()
    for preprocessor in Autograde(coursedir=course.directory(), config=config).sanitize_preprocessors:
        notebook, resources = preprocessor(config=config).preprocess(notebook, resources)
    for part in (notebook, *notebook.cells):  # only `execute` may say what became of a cell
        part.metadata.pop("autograder", None)
    return notebook


def _stand_in(course: Course, submission: Submission, release: Path, reason: str) -> NotebookNode:
    notebook = _sanitised(course, submission, release.stem, nbformat.read(release, as_version=4))
    _say_why(notebook, f"{release.name} was not graded: it {reason}. Hand it in again.")
    return notebook


def _say_why(notebook: NotebookNode, reason: str) -> None:
    notebook.metadata["autograder"] = {"problem": reason}
    notebook.cells.insert(0, new_markdown_cell(f"**{reason}**"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


# ---------------------------------------------------------------- record


class SaveScores(SaveAutoGrades):
    """nbgrader's own step, with scores from what was seen to run instead of from a cell's output.

    Stock nbgrader gives full points where a cell shows no error, and none where it shows a warning.
    """

    def _add_score(self, cell: NotebookNode, resources: Any) -> None:
        super()._add_score(cell, resources)
        if is_grade(cell) and not is_solution(cell):
            grade = self.gradebook.find_grade(
                cell.metadata["nbgrader"]["grade_id"], self.notebook_id, self.assignment_id, self.student_id
            )
            grade.auto_score = score(cell)
            self.gradebook.db.commit()


class _Record(Autograde):
    """nbgrader's autograding of a submission that has been executed already."""

    submission: Submission

    def _init_preprocessors(self) -> None:
        self.exporter._preprocessors = []
        for preprocessor in self.autograde_preprocessors:
            name = preprocessor.__name__
            if name != "Execute":
                self.exporter.register_preprocessor(SaveScores if name == "SaveAutoGrades" else preprocessor)

    def convert_single_notebook(self, notebook_filename: str) -> None:
        self._init_preprocessors()
        resources = self.init_single_notebook_resources(notebook_filename)
        lesson = Path(notebook_filename).stem
        notebook = (self.submission.notebooks | self.submission.unreadable)[lesson]
        output, resources = self.exporter.from_notebook_node(notebook, resources=resources)
        self.write_single_notebook(output, resources)


def record(course: Course, submission: Submission) -> Graded:
    """Write an executed submission into nbgrader's gradebook and its autograded directory.

    Raises:
        CourseError: nbgrader could not write; the text holds its log.
    """
    if submission.notebooks or submission.unreadable:
        _record_notebooks(course, submission)
    else:
        _record_nothing(course, submission)
    with course.gradebook() as gradebook:
        entry = gradebook.find_submission(submission.assignment, submission.student)
        tests = [grade for notebook in entry.notebooks for grade in notebook.grades if grade.name.startswith("test_")]
        exercises = {grade.name.removeprefix("test_"): (grade.score, grade.max_score) for grade in tests}
        problems = tuple(submission.problems)
        return Graded(submission.student, submission.assignment, entry.score, entry.max_score, exercises, problems)


def _record_notebooks(course: Course, submission: Submission) -> None:
    directory = course.directory()
    directory.assignment_id, directory.student_id = submission.assignment, submission.student
    recorder = _Record(coursedir=directory, config=course.config())
    recorder.submission, recorder.force = submission, True
    result = capture_log(recorder)
    if not result["success"]:
        raise CourseError(f"{submission.student}, {submission.assignment}: not recorded:\n{result['error']}")


def _record_nothing(course: Course, submission: Submission) -> None:
    """A folder without any notebook of the assignment: a submission with 0 everywhere."""
    with course.gradebook() as gradebook:
        gradebook.update_or_create_student(submission.student)
        entry = gradebook.update_or_create_submission(submission.assignment, submission.student)
        for notebook in entry.notebooks:
            for grade in notebook.grades:
                grade.auto_score, grade.needs_manual_grade = 0, False
        gradebook.db.commit()
