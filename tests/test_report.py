"""The class report of a class made by hand: gradebook through nbgrader's API, autograded notebooks without a kernel."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder import report
from autograder.course import STUB, Course, CourseError
from autograder.report import AssignmentReport, ClassReport, Outcome, Submission
from autograder.submission import Flag

PASSED = ("passed", 0.5, "")
WRONG = "CheckFailed: {}(x)\n  got       3\n  expected  6\n  likely    squares"
SCRIPT, FORMULA, MULTILINE = "<img src=x onerror=alert(1)>", "=cmd()", 'a, "b"\nc'
LESSONS = {"zeta": ["backward", "accumulate"], "alpha": ["trace"]}  # in the order of their titles, not of their names


def notebook(lesson: str, runs: dict[str, tuple[str, float, str]] | None = None) -> NotebookNode:
    """A lesson's notebook; with `runs` (cell -> status, seconds, message) as `execute` leaves it, passed by default."""
    cells = [new_markdown_cell("# Lesson")]
    for exercise in LESSONS[lesson]:
        for name in (exercise, f"test_{exercise}"):
            cells.append(new_code_cell("pass", metadata={"nbgrader": {"grade_id": name}}))
    if lesson == "zeta":
        cells.append(new_markdown_cell("Why?", metadata={"nbgrader": {"grade_id": "why", "task": True}}))
    made = new_notebook(cells=cells, metadata={"title": f"{list(LESSONS).index(lesson) + 1} {lesson.title()}"})
    if runs is not None:
        made.metadata["autograder"] = {"seed": 1}
        for cell in cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if cell.cell_type == "code":
                cell.metadata["autograder"] = dict(
                    zip(("status", "seconds", "message"), runs.get(name, PASSED), strict=True)
                )
    return made


def write(made: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(made, ensure_ascii=True), encoding="utf-8")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course directory with a release and no students; made once, for a new gradebook takes nbgrader seconds."""
    course = Course(tmp_path_factory.mktemp("released"))
    with course.gradebook() as gradebook:
        for assignment in ("week1", "week2"):
            gradebook.add_assignment(assignment)
        for lesson, exercises in LESSONS.items():
            gradebook.add_notebook(lesson, "week1")
            write(notebook(lesson), course.release_path("week1", lesson))
            for exercise in exercises:
                gradebook.add_grade_cell(f"test_{exercise}", lesson, "week1", max_score=2, cell_type="code")
        gradebook.add_task_cell("why", "zeta", "week1", max_score=4, cell_type="markdown")
    return course.root


class Room:
    """A class that is being graded, in a copy of the released course."""

    def __init__(self, released: Path, root: Path) -> None:
        self.course = Course(shutil.copytree(released, root))

    def path(self, student: str, lesson: str) -> Path:
        return self.course.autograded_path(student, "week1") / f"{lesson}.ipynb"

    def grade(self, student: str, why: float | None = None, **runs: tuple[str, float, str]) -> None:
        """Record a submission of both lessons, in which the named cells did not pass."""
        for lesson in LESSONS:
            write(notebook(lesson, runs), self.path(student, lesson))
        with self.course.gradebook() as gradebook:
            gradebook.update_or_create_student(student)
            for part in gradebook.add_submission("week1", student).notebooks:
                for grade in part.grades:
                    if grade.name == "why":
                        grade.manual_score, grade.needs_manual_grade = why, why is None
                    else:
                        grade.auto_score = 2.0 * (runs.get(grade.name, PASSED)[0] == "passed")
                        grade.needs_manual_grade = False
            gradebook.db.commit()

    def report(self) -> AssignmentReport:
        return report.collect(self.course).assignments[0]


@pytest.fixture(scope="module")
def room(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """One class for all tests that only look at it."""
    room = Room(released, tmp_path_factory.mktemp("class") / "course")
    wrong = {"test_backward": ("failed", 0.5, WRONG.format("backward"))}
    room.grade("ada", why=4)
    room.grade("bob", why=1, **wrong)
    room.grade(SCRIPT, **wrong, test_trace=("failed", 0.1, f"ValueError: {SCRIPT} at 0x7f00"))
    room.grade(FORMULA, test_trace=("failed", 9.0, f"ValueError: {SCRIPT} at 0x7fff\n\ud800 half a surrogate"))
    room.grade(MULTILINE, backward=("failed", 0.1, "SyntaxError: no"), test_backward=("failed", 0.1, "NameError: no"))
    room.grade(
        "🦊",
        backward=("died", 0.2, "the kernel died in cell 2"),
        test_backward=("not run", 0, "not run: the kernel died in cell 2"),
        accumulate=("not run", 0, "not run: the kernel died in cell 2"),
        test_accumulate=("not run", 0, "not run: the kernel died in cell 2"),
        test_trace=("timeout", 30.0, "stopped after 30 s"),
    )
    room.grade("one lesson")
    room.path("one lesson", "alpha").unlink()
    room.grade("unreadable")
    write(notebook("zeta"), room.path("unreadable", "zeta"))  # the release stands in, never executed
    with room.course.gradebook() as gradebook:
        gradebook.add_student("absent")
    write(notebook("zeta"), room.course.submitted_path("late", "week1") / "zeta.ipynb")
    return room


@pytest.fixture(scope="module")
def everything(room: Room) -> ClassReport:
    return report.collect(room.course)


@pytest.fixture(scope="module")
def week(everything: ClassReport) -> AssignmentReport:
    return everything.assignments[0]


def of(week: AssignmentReport, student: str) -> Submission:
    return next(s for s in week.submissions if s.student == student)


def statuses(week: AssignmentReport, student: str) -> dict[str, str]:
    return {o.exercise: o.status for o in of(week, student).outcomes}


# ---------------------------------------------------------------- collect


def test_exercises_stand_in_lesson_order(week: AssignmentReport) -> None:
    assert [e.name for e in week.exercises] == ["backward", "accumulate", "why", "trace"]


def test_everybody_known_has_a_submission(everything: ClassReport, week: AssignmentReport) -> None:
    assert len(everything.students) == 10
    assert [s.student for s in week.submissions] == list(everything.students)
    assert week.handed_in == 9  # all but "absent"
    assert len(week.shares) == 8  # "late" is not graded yet


def test_assignment_that_nobody_handed_in_is_named_and_empty(everything: ClassReport) -> None:
    week2 = everything.assignments[1]
    assert (week2.name, week2.submissions, week2.exercises, week2.shares) == ("week2", (), (), ())
    assert (week2.median, week2.mean, week2.hardest) == (0, 0, None)


def test_statuses(week: AssignmentReport) -> None:
    assert statuses(week, "ada") == dict.fromkeys(("backward", "accumulate", "trace"), "passed") | {"why": "graded"}
    assert statuses(week, SCRIPT)["why"] == "to grade"
    assert statuses(week, "🦊") == {"backward": "died", "accumulate": "not run", "why": "to grade", "trace": "timeout"}
    assert set(statuses(week, "absent").values()) == {"not handed in"}
    assert statuses(week, "late")["backward"] == "not graded"
    assert statuses(week, "one lesson")["trace"] == "not handed in"
    assert statuses(week, "unreadable")["backward"] == "not executed"
    assert statuses(week, "unreadable")["trace"] == "passed"


def test_outcome_holds_points_time_and_the_message_that_tells_why(week: AssignmentReport) -> None:
    assert of(week, MULTILINE).outcomes[0] == Outcome("zeta", "backward", 0, 2, "failed", "SyntaxError: no", 0.2)


def test_answers_that_wait_for_a_person_pull_no_score_down(week: AssignmentReport) -> None:
    waiting, graded = of(week, FORMULA), of(week, "bob")
    assert (waiting.score, waiting.max_score, waiting.needs_person) == (4, 10, True)
    assert waiting.share == pytest.approx(4 / 6)
    assert (graded.score, graded.max_score, graded.share, graded.needs_person) == (5, 10, 0.5, False)


def test_success_counts_what_was_handed_in_and_graded(week: AssignmentReport) -> None:
    backward, accumulate, why, trace = week.exercises
    assert (backward.judged, backward.full, backward.rate) == (7, 3, 3 / 7)  # without "unreadable"
    assert (accumulate.judged, accumulate.full, accumulate.mean) == (7, 6, 12 / 7)
    assert (why.judged, why.full, why.partial, why.mean, why.waiting) == (2, 1, 1, 2.5, 5)
    assert (trace.judged, trace.full) == (7, 4)  # without "one lesson"
    assert week.hardest == backward


def test_the_hardest_is_none_that_still_waits_to_be_graded(week: AssignmentReport) -> None:
    waits = replace(week.exercises[2], judged=1, full=0, waiting=6)
    assert replace(week, exercises=(week.exercises[0], waits)).hardest == week.exercises[0]


def test_histogram_edges() -> None:
    assert report._histogram((0.0, 0.099, 0.1, 0.3, 0.999, 1.0, 1.2)) == (2, 1, 0, 1, 0, 0, 0, 0, 0, 3)


def test_equal_failures_are_one(week: AssignmentReport) -> None:
    found = {(f.exercise, f.message, f.likely): f.students for f in week.failures}
    assert found == {
        ("backward", "backward(x): wrong value", "squares"): (SCRIPT, "bob"),
        ("trace", f"ValueError: {SCRIPT} at …", ""): (SCRIPT, FORMULA),
        ("backward", "SyntaxError: no", ""): (MULTILINE,),
        ("backward", "the kernel died", ""): ("🦊",),
        ("trace", "ran out of time", ""): ("🦊",),
    }
    assert [len(f.students) for f in week.failures] == [2, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("message", "essence"),
    [
        ("NotImplementedError: " + STUB.split('"')[1], ("left as released", "")),
        ("CheckFailed: f(x)\n  shape     (2, 3)\n  expected  (3, 2)\n  hint      turn", ("f(x): wrong shape", "")),
        ("CheckFailed: f(-1)\n  returned  0\n  expected  it to raise", ("f(-1): raises no error", "")),
        ("CheckFailed: f was called: write it yourself", ("CheckFailed: f was called: write it yourself", "")),
        ("\x1b[31mKeyError\x1b[0m: 3.14159", ("KeyError: …", "")),
        ("\n \n", ("no message", "")),
        ("ValueError: " + "x" * 10_000, ("ValueError: " + "x" * 147 + "…", "")),
    ],
)
def test_essence_of_a_message(message: str, essence: tuple[str, str]) -> None:
    assert report._essence("failed", message) == essence


def test_slow_cells_are_those_that_took_somebody_long(week: AssignmentReport) -> None:
    assert [(c.lesson, c.cell, c.median, c.slowest) for c in week.slow] == [("alpha", "test_trace", 0.5, 30.0)]


def test_errands(week: AssignmentReport) -> None:
    found = {e.kind: e.cases for e in week.errands}
    assert list(found) == [
        "could not be executed",
        "handed in, not graded yet",
        "the kernel died",
        "ran out of time",
        "lesson missing",
        "to grade by hand",
    ]
    assert found["could not be executed"] == (("unreadable", "zeta"),)
    assert found["the kernel died"] == (("🦊", "zeta, backward (0.2 s)"),)
    assert found["ran out of time"] == (("🦊", "alpha, test_trace (30.0 s)"),)
    assert found["lesson missing"] == (("late", "alpha"), ("one lesson", "alpha"))
    assert week.absent == ("absent",)
    assert ("one lesson", "zeta: why") in found["to grade by hand"]


def test_one_notebook_never_costs_the_report(released: Path, tmp_path: Path) -> None:
    room = Room(released, tmp_path / "course")
    broken: dict[str, Any] = {
        "no number": {"status": "passed", "seconds": "<script>", "message": ""},
        "no message": {"status": "passed", "seconds": 0},
        "no word of execute": {"status": "excellent", "seconds": 0, "message": ""},
        "no dictionary": ["passed"],
    }
    for student, metadata in broken.items():
        room.grade(student, why=0)
        made = notebook("alpha", {})
        made.cells[-1].metadata["autograder"] = metadata
        write(made, room.path(student, "alpha"))
    room.grade("no notebook", why=0)
    room.path("no notebook", "alpha").write_text("[1, 2]")
    room.grade("own cell", why=0)
    made = notebook("alpha", {})
    made.cells.append(new_code_cell("", metadata={"autograder": {"status": "died", "seconds": 99, "message": ""}}))
    write(made, room.path("own cell", "alpha"))
    week = room.report()
    seen = {student: statuses(week, student)["trace"] for student in [*broken, "no notebook", "own cell"]}
    assert seen == {
        "no number": "not executed",
        "no message": "not executed",
        "no word of execute": "graded",
        "no dictionary": "not executed",
        "no notebook": "not executed",
        "own cell": "passed",
    }
    assert "the kernel died" not in [e.kind for e in week.errands]


def test_a_directory_without_a_course_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="autograder build"):
        report.collect(Course(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_class_that_handed_in_nothing(released: Path, tmp_path: Path) -> None:
    made = report.collect(Course(released))
    report.write_html(made, tmp_path / "report.html")
    report.write_csv(made, tmp_path / "report.csv")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("nothing graded yet") == 2
    assert (tmp_path / "report.csv").read_text(encoding="utf-8").splitlines() == [",".join(report.CSV_COLUMNS)]


@pytest.fixture(scope="module")
def flagged(released: Path, tmp_path_factory: pytest.TempPathFactory) -> ClassReport:
    """Five students: the better, the more points everywhere, but for `trace`, where it is the other way round."""
    room = Room(released, tmp_path_factory.mktemp("flagged") / "course")
    failed = ("failed", 0.5, "no")
    names = ("test_backward", "test_accumulate", "test_trace")
    for student, passed in {"a": "110", "b": "110", "c": "100", "d": "001", "e": "001"}.items():
        room.grade(student, why=4, **{name: failed for name, bit in zip(names, passed, strict=True) if bit == "0"})
    path = room.path("e", "alpha")
    made = nbformat.read(path, as_version=4)
    flags = [{"kind": kind, "where": "alpha.ipynb", "reason": SCRIPT} for kind in ("tampering", "limit", "limit", "?")]
    made.metadata["autograder"] = {"seed": 1, "isolation": "none", "flags": [*flags, 7, {"kind": "leak"}]}
    made.cells[-1].metadata["autograder"] |= {"carried": True, "credit": 0.5}
    write(made, path)
    return report.collect(room.course)


def test_flags_are_grouped_by_kind_and_told_once(flagged: ClassReport) -> None:
    found = {
        group.kind: [(student, str(flag)) for student, flag in group.cases] for group in flagged.assignments[0].flags
    }
    line = ("e", f"alpha.ipynb: {SCRIPT}")
    assert found == {"tampering": [line], "limit": [line], "leak": [("e", ": ")]}


def test_flags_of_the_gradebook_are_there_too(
    flagged: ClassReport, monkeypatch: pytest.MonkeyPatch, room: Room
) -> None:
    known = {("week1", "ada"): (Flag("problem", "x.ipynb", "not handed in"),)}
    monkeypatch.setattr(report, "recorded_flags", lambda gradebook: known)
    (group,) = room.report().flags
    assert (group.kind, str(group.cases[0][1])) == ("problem", "x.ipynb: not handed in")


def test_item_statistics(flagged: ClassReport) -> None:
    backward, accumulate, why, trace = flagged.assignments[0].exercises
    assert [e.difficulty for e in (backward, accumulate, why, trace)] == [0.6, 0.4, 1.0, 0.4]
    assert backward.discrimination == pytest.approx(-0.4082483)  # of 1 1 1 0 0 with 6 6 4 6 6 of 8
    assert trace.discrimination == pytest.approx(-0.9128709)  # of 0 0 0 1 1 with 8 8 6 4 4 of 8
    assert why.discrimination is None  # the same for all
    assert {e.compared for e in (backward, accumulate, why, trace)} == {5}


def test_two_say_nothing_about_discrimination(released: Path, tmp_path: Path) -> None:
    room = Room(released, tmp_path / "course")
    room.grade("ada", why=4)
    room.grade("bob", why=1, test_trace=("failed", 0.5, "no"))
    assert {(e.discrimination, e.compared) for e in room.report().exercises} == {(None, 2)}


def test_errors_carried_forward_are_counted_and_shown(flagged: ClassReport) -> None:
    trace = flagged.assignments[0].exercises[-1]
    assert trace.carried == 1
    assert [o.exercise for o in of(flagged.assignments[0], "e").outcomes if o.carried] == ["trace"]


def test_every_cell_has_its_time(flagged: ClassReport) -> None:
    times = {(time.lesson, time.cell): time.median for time in flagged.assignments[0].times}
    assert list(times)[:2] == [("zeta", "backward"), ("zeta", "test_backward")]
    assert len(times) == 6
    assert set(times.values()) == {0.5}
    assert flagged.assignments[0].slow == ()


# ---------------------------------------------------------------- write


@pytest.fixture(scope="module")
def page(everything: ClassReport, tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write_html(everything, path)
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_page_stands_alone(page: BeautifulSoup) -> None:
    assert not page.find_all(["script", "img", "link", "iframe", "object"])
    assert not page.find_all(src=True)
    assert all(a["href"].startswith("#") and page.find(id=a["href"][1:]) for a in page.find_all("a"))
    assert "url(" not in page.style.string
    assert "@import" not in page.style.string
    assert not [attribute for tag in page.find_all() for attribute in tag.attrs if attribute.startswith("on")]


def test_page_shows_what_students_wrote_as_they_wrote_it(page: BeautifulSoup) -> None:
    names = {tag.get_text() for tag in page.find_all("bdi")}
    assert {SCRIPT, FORMULA, MULTILINE, "🦊"} <= names
    assert f"ValueError: {SCRIPT} at …" in [tag.get_text() for tag in page.find_all("code")]


def test_names_are_folded_away(page: BeautifulSoup) -> None:
    assert all(tag.find_parent("details") for tag in page.find_all("bdi"))
    assert not page.find_all("details", open=True)


def test_page_can_be_read_without_seeing_it(page: BeautifulSoup) -> None:
    charts = page.find_all(role="img")
    assert len(charts) == 1
    assert "Histogram of 8 scores, median 63%." in charts[0]["aria-label"]
    assert "60 to 70 %: 3." in charts[0]["aria-label"]
    assert all(bar["aria-hidden"] == "true" for bar in page.find_all(class_="bar"))
    for table in page.find_all("table"):
        assert table.thead.find_all("th", scope="col")
        assert all(row.find("th", scope=("row", "rowgroup")) for row in table.select("tbody tr") if row.find("th"))
    assert page.html["lang"] == "en"


def test_page_warns_of_what_ran_without_a_sandbox(flagged: ClassReport, page: BeautifulSoup, tmp_path: Path) -> None:
    report.write_html(flagged, tmp_path / "report.html")
    warned = BeautifulSoup((tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")
    assert warned.find(role="alert").get_text().startswith("1 submission ran without a sandbox")
    assert not page.find(role="alert")
    text = " ".join(warned.get_text(" ").split())
    assert "1 touched what the grading relies on tampering" in text
    assert f"e alpha.ipynb: {SCRIPT}" in text
    assert "1 by error carried forward" in text
    assert "−0.91 n 5" in text


def test_page_answers_its_questions(page: BeautifulSoup) -> None:
    assert [tag.get_text() for tag in page.find_all("h3")] == [
        "What needs a person",
        "Who has not submitted",
        "What goes wrong",
        "What is slow",
        "Who has what",
    ]
    text = " ".join(page.get_text(" ").split())
    assert "43% 3 of 7" in text
    assert "5 to grade by hand" in text
    assert "likely: squares" in text


def read_csv(everything: ClassReport, path: Path) -> list[dict[str, str]]:
    report.write_csv(everything, path)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_per_student_and_exercise(everything: ClassReport, tmp_path: Path) -> None:
    rows = read_csv(everything, tmp_path / "report.csv")
    assert len(rows) == 10 * 4
    assert rows[0].keys() == set(report.CSV_COLUMNS)
    assert next(row for row in rows if row["student"] == "bob") == {
        "student": "bob",
        "assignment": "week1",
        "lesson": "zeta",
        "exercise": "backward",
        "points": "0.0",
        "max_points": "2.0",
        "status": "failed",
        "seconds": "1.0",
    }


def test_csv_names_survive_and_compute_nothing(everything: ClassReport, tmp_path: Path) -> None:
    names = {row["student"] for row in read_csv(everything, tmp_path / "report.csv")}
    assert {"'=cmd()", MULTILINE, SCRIPT, "🦊"} <= names


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_no_formula(begin: str) -> None:
    assert report._no_formula(f"{begin}1") == f"'{begin}1"
    assert report._no_formula(f"1{begin}") == f"1{begin}"
