"""Feedback pages of submissions made by hand: no kernel runs here, what `execute` would say is written in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from autograder import feedback
from autograder.course import Course, CourseError
from autograder.mathml import mathml
from autograder.withhold import WITHHELD
from tests.test_inert import NO_CONTROL, VECTORS, active

PASSED = {"status": "passed", "seconds": 0.25, "message": "", "credit": 1.0, "carried": False}
FAILED = PASSED | {"status": "failed", "message": "CheckFailed: double(2)\n  got  5\n  expected  4", "credit": 0.0}
SECRETS = ("HIDDEN TESTS", "check.rng", "triple(-5)", "a negative number", "MARK SCHEME", "successor", "x + x", "x * 3")

Grade = Callable[..., Path]


@pytest.fixture
def grade(course: Course) -> Grade:
    """Record a submission as graded; returns where its page will be."""

    def grade(
        student: str = "ada",
        change: Callable[[NotebookNode], Any] = lambda notebook: None,
        points: dict[str, float] | None = None,
        **said: dict[str, Any],
    ) -> Path:
        notebook = nbformat.read(course.source_path("week", "small"), as_version=4)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
            if name in ("double", "triple"):
                cell.source = f"def {name}(x):\n    return 'an answer'"
            if name.removeprefix("test_") in ("double", "triple"):
                cell.metadata["autograder"] = dict(said.get(name, PASSED))
        change(notebook)
        path = course.autograded_path(student, "week") / "small.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(nbformat.writes(notebook), encoding="utf-8")
        with course.gradebook() as gradebook:
            gradebook.update_or_create_student(student)
            (part,) = gradebook.add_submission("week", student).notebooks
            for mark in part.grades:
                mark.auto_score = (points or {}).get(mark.name, 0)
                mark.needs_manual_grade = mark.name == "why"
            gradebook.db.commit()
        return course.root / "feedback" / student / "week" / "small.html"

    return grade


def read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def rows(page: BeautifulSoup) -> dict[str, list[str]]:
    cells = (
        [" ".join(cell.get_text().split()) for cell in row.find_all(["th", "td"])] for row in page.select("tbody tr")
    )
    return {name: rest for name, *rest in cells}


def print_in(name: str, text: str, **data: str) -> Callable[[NotebookNode], None]:
    """A change to a notebook: the cell `name` has this output."""

    def change(notebook: NotebookNode) -> None:
        (cell,) = (c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)
        cell.outputs = [new_output("display_data", data=data) if data else new_output("stream", text=text)]

    return change


# ---------------------------------------------------------------- the table


def test_the_table_names_each_exercise_with_points_verdict_message_and_time(course: Course, grade: Grade) -> None:
    path = grade(points={"test_triple": 1}, test_double=FAILED)
    feedback.generate(course, [("ada", "week")])
    page = read(path)
    assert rows(page) == {
        "double": ["0 / 2", "failed CheckFailed: double(2) got 5 expected 4", "0.50 s"],
        "triple": ["1 / 1", "passed", "0.50 s"],
        "why": ["0 / 4", "waits to be graded by a person", ""],
    }
    assert "1 of 7 points" in page.get_text()
    assert all(page.find(id=link["href"][1:]) for link in page.select("table a"))


def test_an_error_carried_forward_is_told(course: Course, grade: Grade) -> None:
    path = grade(points={"test_triple": 0.5}, test_double=FAILED, test_triple=PASSED | {"carried": True, "credit": 0.5})
    feedback.generate(course, [("ada", "week")])
    assert rows(read(path))["triple"][:2] == [
        "0.5 / 1",
        "error carried forward passed with the reference in place of your earlier answer (error carried forward)",
    ]


def test_an_answer_that_did_not_run_tells_why(course: Course, grade: Grade) -> None:
    grade(double=FAILED | {"message": "SyntaxError: no"}, test_double=FAILED | {"message": "NameError: double"})
    feedback.generate(course, [("ada", "week")])
    path = course.root / "feedback" / "ada" / "week" / "small.html"
    assert "SyntaxError: no NameError: double" in rows(read(path))["double"][1]


@pytest.mark.parametrize(
    ("status", "verdict"), [("timeout", "ran out of time"), ("died", "the kernel died"), ("not run", "not run")]
)
def test_what_stopped_an_exercise_is_told(course: Course, grade: Grade, status: str, verdict: str) -> None:
    path = grade(test_double=FAILED | {"status": status, "message": "stopped after 4 s"})
    feedback.generate(course, [("ada", "week")])
    assert rows(read(path))["double"][1] == f"{verdict} stopped after 4 s"


def test_comments_manual_grades_and_a_late_penalty(course: Course, grade: Grade) -> None:
    path = grade(points={"test_double": 2})
    with course.gradebook() as gradebook:
        gradebook.find_comment("double", "small", "week", "ada").manual_comment = "Use *names*. <b onclick=x>$x_1$</b>"
        mark = gradebook.find_grade("why", "small", "week", "ada")
        mark.manual_score, mark.needs_manual_grade = 3.5, False
        gradebook.find_submission("week", "ada").notebooks[0].late_submission_penalty = 1
        gradebook.db.commit()
    feedback.generate(course, [("ada", "week")])
    page = read(path)
    assert "4.5 of 7 points after 1 for being late" in " ".join(page.get_text().split())
    assert rows(page)["why"][:2] == ["3.5 / 4", "graded"]
    assert page.select_one(".comment em").get_text() == "names"
    assert page.select_one(".comment math")


def test_a_notebook_that_stock_nbgrader_graded_has_a_page(course: Course, grade: Grade) -> None:
    def forget(notebook: NotebookNode) -> None:
        for cell in notebook.cells:
            cell.metadata.pop("autograder", None)

    path = grade(change=forget, points={"test_double": 2})
    feedback.generate(course, [("ada", "week")])
    assert rows(read(path))["double"] == ["2 / 2", "graded", ""]


# ---------------------------------------------------------------- nothing gets out


def test_hidden_tests_reference_and_mark_scheme_are_not_on_the_page(course: Course, grade: Grade) -> None:
    path = grade(test_double=FAILED)
    feedback.generate(course, [("ada", "week")])
    page = path.read_text(encoding="utf-8")
    assert not [secret for secret in SECRETS if secret in page]
    assert "check.equal(double(2)" in read(path).get_text()
    assert "Why are numbers small?" in page


HIDDEN = '_x = int(check.rng().integers(3, 100))\n    check.equal(triple(-5), -15, "triple(a negative number)")'


@pytest.mark.parametrize("secret", [HIDDEN, "    return x + x", "Full points for naming the successor function."])
@pytest.mark.parametrize("where", ["output", "message", "traceback", "html"])
def test_a_secret_line_is_withheld_wherever_it_turns_up(course: Course, grade: Grade, secret: str, where: str) -> None:
    said, change = FAILED, print_in("double", f"stolen:\n{secret}\nend")
    if where == "message":
        said, change = FAILED | {"message": f"stolen:\n{secret}\nend"}, lambda notebook: None
    elif where == "html":
        change = print_in(
            "double", "", **{"text/html": "<p>stolen</p>" + secret.replace("a", "<i>a</i>").replace("\n", "<br>")}
        )
    elif where == "traceback":
        change = _raises(secret)
    path = grade(change=change, test_double=said)
    feedback.generate(course, [("ada", "week")])
    page = read(path).get_text()
    assert not [line for line in secret.split("\n") if line.strip() in page]
    assert WITHHELD in page or "left out of this page" in page
    assert rows(read(path))["double"][0] == "0 / 2"


def _raises(text: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        notebook.cells.append(new_code_cell("x", outputs=[new_output("error", ename="E", traceback=text.split("\n"))]))

    return change


def test_a_line_that_the_student_wrote_is_shown(course: Course, grade: Grade) -> None:
    def answer(notebook: NotebookNode) -> None:
        (cell,) = (c for c in notebook.cells if c.id == "exercise-double")
        cell.source = "def double(x):\n    return x + x"

    path = grade(change=answer)
    feedback.generate(course, [("ada", "week")])
    assert "return x + x" in read(path).get_text()


def test_frames_of_test_cells_are_left_out(course: Course, grade: Grade) -> None:
    def change(notebook: NotebookNode) -> None:
        for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
            cell.execution_count = count
            if cell.id == "test-double":
                frames = [f"Cell In[{count}], line 4\n  {'secret frame'}", f"Cell In[{count - 1}], line 2\n  x.nothing"]
                cell.outputs = [new_output("error", ename="E", traceback=["Traceback", *frames, "E: no"])]

    path = grade(change=change)
    feedback.generate(course, [("ada", "week")])
    page = path.read_text(encoding="utf-8")
    assert "secret frame" not in page
    assert "x.nothing" in page


def test_marks_in_an_answer_stop_no_page(course: Course, grade: Grade) -> None:
    path = grade(change=lambda nb: nb.cells.append(new_code_cell("### BEGIN HIDDEN TESTS\nmine = 'all of it'")))
    feedback.generate(course, [("ada", "week")])
    assert "all of it" in read(path).get_text()


# ---------------------------------------------------------------- nothing runs


def test_nothing_on_the_page_is_active(course: Course, grade: Grade) -> None:
    cells = [VECTORS[name] | {"id": f"v{n}"} for n, name in enumerate(VECTORS) if name not in NO_CONTROL]
    message = FAILED | {"message": "<script>alert(1)</script>"}
    path = grade(change=lambda notebook: notebook.cells.extend(map(nbformat.from_dict, cells)), test_double=message)
    feedback.generate(course, [("ada", "week")])
    text = path.read_text(encoding="utf-8")
    assert active(text.replace("<main>", '<main id="notebook-container">')) == set()
    page = read(path)
    assert [tag.name for tag in page.find_all(["script", "link", "iframe", "base"])] == []
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "<script>alert(1)</script>" in page.get_text()  # as it was written


def test_formulas_need_no_script() -> None:
    assert mathml("a < b") == ('<math display="inline"><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math>')
    assert "block" in mathml("x", display=True)


@pytest.mark.parametrize(
    "latex",
    [
        r"\text{<script>alert(1)</script>}",
        r"\text{&lt;script&gt;}",
        r"\href{javascript:alert(1)}{x}",
        r'\text{" onload="alert(1)}',
        r"\style{color:red;background:url(//evil)}{x}",
        r"\class{x}{\id{y}{z}}",
        "{" * 1500,
        r"\frac" * 300,
        "x" * 100_000,
        r"\begin{matrix}",
    ],
)
def test_no_formula_breaks_out(latex: str) -> None:
    made = BeautifulSoup(mathml(latex), "html.parser")
    assert {tag.name for tag in made.find_all()} <= {"math", "mrow", "mi", "mo", "mn", "mtext", "code", "mfrac"}
    assert not [name for tag in made.find_all() for name in tag.attrs if name in ("href", "style", "class", "onload")]


def test_a_formula_in_an_attribute_stays_out_of_it(course: Course, grade: Grade) -> None:
    sources = [r'![$\text{" onload="x}$](data:image/png;base64,AA) \ue0000\ue001', "<b title='\ue0000\ue001'>x</b> $y$"]
    path = grade(change=lambda notebook: notebook.cells.extend(map(new_markdown_cell, sources)))
    feedback.generate(course, [("ada", "week")])
    assert not [tag for tag in read(path).find_all() if "onload" in tag.attrs]


# ---------------------------------------------------------------- with nbgrader


def test_nbgrader_writes_the_same_page(course: Course, grade: Grade) -> None:
    path = grade(test_double=FAILED)
    feedback.generate(course, [("ada", "week")])
    ours = path.read_bytes()
    path.unlink()
    assert course.api().generate_feedback("week", "ada")["success"]
    assert path.read_bytes() == ours


def test_what_was_not_graded_has_no_page_and_stops_no_other(course: Course, grade: Grade) -> None:
    path = grade()
    (course.autograded_path("bob", "week")).mkdir(parents=True)
    notebook = course.autograded_path("bob", "week") / "small.ipynb"
    notebook.write_bytes((course.autograded_path("ada", "week") / "small.ipynb").read_bytes())
    with pytest.raises(
        CourseError, match=r"^bob, week: no feedback: bob, week, small: not in the gradebook; grade it first$"
    ):
        feedback.generate(course, [("bob", "week"), ("absent", "week"), ("ada", "week")])
    assert path.exists()


def test_an_interrupt_stays_one(course: Course, grade: Grade, monkeypatch: pytest.MonkeyPatch) -> None:
    grade("ada")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(feedback, "inert", interrupt)
    with pytest.raises(KeyboardInterrupt):
        feedback.generate(course, [("ada", "week")])
