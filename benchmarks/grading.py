"""How long a class takes: stock `nbgrader autograde` and `autograder grade` on the same submissions.

Both are run as commands, each once for the whole assignment, on copies of one course directory; then the gradebooks are
compared score by score, exercise by exercise. Error carried forward gives points that stock nbgrader does not know, so
it is off for the comparison (`--carried 0`) and timed in a further run. `autograder grade` also writes the feedback of
every student and the report of the class; stock nbgrader's own `generate_feedback` is timed beside it.

    python -m benchmarks.grading                      20 students, 40 notebooks of week 2
    python -m benchmarks.grading --stock-students 4   the stock run on 4 of them only, its time scaled
    python -m benchmarks.grading --flat               what one more submission costs in classes of 20 to 500
    python -m benchmarks.grading --assignment week04_llama
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import nbformat
import typer

from autograder.build import build
from autograder.cases import read_cases
from autograder.course import Course
from autograder.source import Lesson, find_lessons, read_lesson

REPOSITORY = Path(__file__).resolve().parents[1]
SIZES = (20, 100, 250, 500)

# The course's own settings, but for the page that feedback is written with: here nbgrader's own.
STOCK_CONFIG = """\
from pathlib import Path
from autograder.course import Course
c = get_config()
c.merge(Course(Path(__file__).parent / "course").config())
c.pop("GenerateFeedback", None)
"""

Answers = dict[str, str]  # exercise -> its cell; one that is not named stays as released


def main(
    students: Annotated[int, typer.Option(help="each hands in both lessons")] = 20,
    stock_students: Annotated[int | None, typer.Option(help="grade only so many with stock nbgrader")] = None,
    seed: Annotated[int, typer.Option(help="of the answers that are drawn")] = 2,
    assignment: Annotated[str, typer.Option(help="what they hand in")] = "week02_autodiff",
    flat: Annotated[bool, typer.Option("--flat", help="the autograder alone, for growing classes")] = False,
    keep: Annotated[Path | None, typer.Option(help="work in this new directory and leave it there")] = None,
) -> None:
    """Grade a made-up class with both and print what it took, as JSON."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        root = keep or Path(scratch)
        lessons = [read_lesson(path) for path in find_lessons(REPOSITORY / "solutions", [assignment])]
        build(lessons, Course(root / "built" / "course"), root / "built" / "notebooks")
        if flat:
            print(json.dumps(growing_classes(root, lessons, seed), indent=2))
        else:
            print(json.dumps(both(root, lessons, students, stock_students or students, seed), indent=2))


def both(root: Path, lessons: list[Lesson], students: int, stock_students: int, seed: int) -> dict[str, Any]:
    """The same class under stock nbgrader and the autograder."""
    answers = draw(lessons, students, seed)
    names = sorted(answers)[:stock_students]
    stock = _handed_in(root, "stock", lessons, {name: answers[name] for name in names})
    ours, carrying = (_handed_in(root, name, lessons, answers) for name in ("autograder", "carrying"))
    (stock.root.parent / "nbgrader_config.py").write_text(STOCK_CONFIG)
    scale = students / stock_students
    stock_s = scale * _timed(stock, "nbgrader", "autograde", lessons[0].assignment)
    stock_feedback_s = scale * _timed(stock, "nbgrader", "generate_feedback", lessons[0].assignment)
    autograder_s = _grade(ours, "--carried", "0")
    again_s = _grade(ours, "--carried", "0")
    carrying_s = _grade(carrying)
    differ = _differences(_scores(stock), {k: v for k, v in _scores(ours).items() if k[0] in names})
    notebooks = students * len(lessons)
    return {
        "submissions": notebooks,
        "students": students,
        "cpus": len(os.sched_getaffinity(0)),
        "stock_s": round(stock_s, 1),
        "stock_measured_on_students": stock_students,
        "stock_is_an_estimate": stock_students < students,
        "autograder_s": round(autograder_s, 1),
        "ratio": round(stock_s / autograder_s, 1),
        "equal_scores": not differ,
        "scores_compared": len(_scores(stock)),
        "differences": differ[:20],
        "stock_with_feedback_s": round(stock_s + stock_feedback_s, 1),
        "ratio_with_feedback": round((stock_s + stock_feedback_s) / autograder_s, 1),
        "stock_s_per_notebook": round(stock_s / notebooks, 2),
        "autograder_s_per_notebook": round(autograder_s / notebooks, 3),
        "autograder_again_s": round(again_s, 1),
        "autograder_carrying_s": round(carrying_s, 1),
        "ratio_carrying": round(stock_s / carrying_s, 1),
    }


def growing_classes(root: Path, lessons: list[Lesson], seed: int) -> dict[str, Any]:
    """Seconds for classes of `SIZES`, each graded from nothing, and for one more submission between two of them."""
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        course = _handed_in(root, f"class-{size}", lessons, draw(lessons, size, seed))
        rows.append({"students": size, "autograder_s": round(_grade(course), 1)})
        shutil.rmtree(course.root.parent)
    for before, row in zip([{"students": 0, "autograder_s": 0.0}, *rows], rows, strict=False):
        further = len(lessons) * (row["students"] - before["students"])
        row["s_per_further_submission"] = round((row["autograder_s"] - before["autograder_s"]) / further, 3)
    return {"cpus": len(os.sched_getaffinity(0)), "classes": rows}


# ---------------------------------------------------------------- the class


def draw(lessons: Sequence[Lesson], students: int, seed: int) -> dict[str, Answers]:
    """What each student answers: most of it right, in the reference's or another way, some of it wrong or left out."""
    chance = random.Random(seed)
    answers = {}
    for number in range(students):
        able = chance.uniform(0.5, 1.0)
        answers[f"student{number:03}"] = {
            exercise: source
            for lesson in lessons
            for exercise, source in _of_lesson(lesson, able, chance).items()
            if source
        }
    return answers


def _of_lesson(lesson: Lesson, able: float, chance: random.Random) -> Answers:
    cases = [case for case in read_cases(lesson) if "while True" not in case.source]
    answers = {}
    for cell in lesson.of_kind("exercise"):
        right = [cell.without(), *(c.source for c in cases if c.exercise == cell.name and c.should_pass)]
        wrong = ["", *(c.source for c in cases if c.exercise == cell.name and not c.should_pass)]
        answers[cell.name] = chance.choice(right if chance.random() < able else wrong)
    return answers


def _handed_in(root: Path, name: str, lessons: Sequence[Lesson], answers: dict[str, Answers]) -> Course:
    """A copy of the built course with the class's submissions, laid out as the repository is."""
    course = Course(shutil.copytree(root / "built" / "course", root / name / "course"))
    for lesson in lessons:
        release = nbformat.read(course.release_path(lesson.assignment, lesson.name), as_version=4)
        cells = {cell.id.removeprefix("exercise-"): cell for cell in release.cells if cell.id.startswith("exercise-")}
        untouched = {exercise: cell.source for exercise, cell in cells.items()}
        for student, answered in answers.items():
            for exercise, cell in cells.items():
                cell.source = answered.get(exercise, untouched[exercise])
            path = course.submitted_path(student, lesson.assignment) / f"{lesson.name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(release, path)
    return course


# ---------------------------------------------------------------- running and comparing


def _grade(course: Course, *options: str) -> float:
    return _timed(course, "autograder", "grade", *options)


def _timed(course: Course, program: str, *arguments: str) -> float:
    """Seconds that a command takes, started where the course directory lies."""
    scripts = sysconfig.get_path("scripts")
    environment = os.environ | {"PATH": os.pathsep.join((scripts, os.environ["PATH"]))}
    where = course.root.parent
    begun = time.monotonic()
    with (where / "log").open("a") as log:
        done = subprocess.run([f"{scripts}/{program}", *arguments], cwd=where, env=environment, stdout=log, stderr=log)
    seconds = time.monotonic() - begun
    if done.returncode:
        tail = (where / "log").read_text()[-2000:]
        raise SystemExit(f"{program} {' '.join(arguments)} ended with {done.returncode}:\n{tail}")
    return seconds


def _scores(course: Course) -> dict[tuple[str, str, str], float | None]:
    """(student, lesson, cell) -> what the gradebook holds."""
    with course.gradebook() as gradebook:
        return {
            (submission.student_id, notebook.name, grade.name): grade.auto_score
            for assignment in gradebook.assignments
            for submission in gradebook.assignment_submissions(assignment.name)
            for notebook in submission.notebooks
            for grade in notebook.grades
        }


def _differences(stock: dict[Any, Any], ours: dict[Any, Any]) -> list[str]:
    return [
        f"{'/'.join(key)}: stock {stock.get(key)}, autograder {ours.get(key)}"
        for key in sorted(stock.keys() | ours.keys())
        if stock.get(key) != ours.get(key)
    ]


if __name__ == "__main__":
    typer.run(main)
