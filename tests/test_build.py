"""Source to release: deterministic, without leaks, and never over somebody's work."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from autograder.build import BuildError, build, instructor_notebook, release_bytes
from autograder.course import Course
from autograder.leaks import scan
from autograder.source import find_lessons, read_lesson
from tests.conftest import SMALL_LESSON

ROOT = Path(__file__).parent.parent


def test_the_same_source_gives_the_same_bytes(lesson):
    assert release_bytes([lesson]) == release_bytes([lesson])


def test_the_committed_notebooks_are_in_step_with_their_sources():
    lessons = [read_lesson(path) for path in find_lessons(ROOT / "solutions")]
    fresh = release_bytes(lessons)
    stale = [name for name, content in fresh.items() if _committed(name) != content]
    assert not stale, f"run 'make notebooks' and commit: {', '.join(stale)}"
    known = {ROOT / "notebooks" / f"{name}.ipynb" for name in fresh}
    assert set((ROOT / "notebooks").rglob("*.ipynb")) == known


def _committed(name: str) -> bytes:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    return path.read_bytes() if path.exists() else b""


def test_ids_stay_when_a_cell_is_inserted(lesson, write_lesson):
    before = {cell.id for cell in instructor_notebook(lesson).cells}
    inserted = SMALL_LESSON.replace(
        "# %% explore", "# %% [markdown]\n# A new thought.\n\n# %%\nnew = 1\n\n# %% explore"
    )
    after = {cell.id for cell in instructor_notebook(read_lesson(write_lesson(inserted))).cells}
    assert before < after
    assert len(after - before) == 2


def test_the_release_has_the_question_and_not_the_answer(course):
    release = nbformat.read(course.release_path("week", "small"), as_version=4)
    cells = {cell.id: cell for cell in release.cells}
    assert "NotImplementedError" in cells["exercise-double"].source
    assert cells["exercise-double"].source.startswith("# Exercise 1: double | 1 min | difficulty ●○○○○ | 2 points")
    assert cells["test-double"].source == 'check.equal(double(2), 4, "double(2)")\ncheck.passed("double")'
    assert cells["question-why"].source.strip() == "Why are numbers small?"
    assert cells["answer-why"].cell_type == "markdown"
    assert cells["test-double"].metadata.nbgrader.points == 2
    assert not cells["imports"].metadata.editable


@pytest.fixture
def release(course):
    return nbformat.read(course.release_path("week", "small"), as_version=4)


def plant_solution(cells):
    cells["exercise-double"].source += "\n    return x + x"


def plant_solution_in_prose(cells):
    cells["answer-why"].source += "\nPsst: `return x + x`"


def plant_hidden_test(cells):
    cells["test-triple"].source += '\ncheck.equal(triple(-5),   -15, "triple(a negative number)")'


def plant_hidden_test_in_metadata(cells):
    cells["test-triple"].metadata.nbgrader["grade_id"] = 'check.equal(triple(-5), -15, "triple(a negative number)")'


def plant_mark_scheme(cells):
    cells["question-why"].source += "\nFull points for naming the successor function."


def plant_output(cells):
    cells["test-double"].outputs = [nbformat.v4.new_output("stream", text="double: 2 checks passed.")]


def plant_metadata(cells):
    cells["exercise-double"].metadata["minutes"] = 1


def plant_tag(cells):
    cells["exercise-double"].metadata["tags"] = ["easy-one"]


LEAKS = {
    plant_solution: "solution line",
    plant_solution_in_prose: "solution line",
    plant_hidden_test: "hidden-test line",
    plant_hidden_test_in_metadata: "hidden-test line",
    plant_mark_scheme: "mark-scheme line",
    plant_output: "output",
    plant_metadata: "instructor metadata",
    plant_tag: "instructor metadata",
}


@pytest.mark.parametrize("plant", LEAKS)
def test_a_planted_leak_is_found(lesson, release, plant):
    assert scan(lesson, release) == []
    plant({cell.id: cell for cell in release.cells})
    assert LEAKS[plant] in {leak.kind for leak in scan(lesson, release)}


def test_a_leak_in_the_notebooks_metadata_is_found(lesson, release):
    release.metadata["title"] = "return x + x"
    release.metadata["grader"] = "notes"
    assert {leak.kind for leak in scan(lesson, release)} == {"solution line", "instructor metadata"}


def test_a_release_with_a_leak_is_not_built(lesson, tmp_path, monkeypatch):
    leaky = instructor_notebook(lesson)
    leaky.cells[0].source += "\nreturn x + x"
    monkeypatch.setattr("autograder.build.instructor_notebook", lambda lesson: leaky)
    with pytest.raises(BuildError, match=r"week/small: .*\n  solution line in cell 'prose-"):
        build([lesson], Course(tmp_path / "course"), tmp_path / "notebooks")
    assert not (tmp_path / "notebooks").exists()


def test_a_build_keeps_an_edited_notebook_and_says_so(lesson, write_lesson, tmp_path):
    notebooks = tmp_path / "notebooks"
    build([lesson], Course(tmp_path / "course"), notebooks)
    path = notebooks / "week" / "small.ipynb"
    edited = nbformat.read(path, as_version=4)
    edited.cells[2].source = "def double(x): return 2 * x  # my work"
    nbformat.write(edited, path)
    newer = read_lesson(write_lesson(SMALL_LESSON.replace("Why are", "Why, do you think, are")))
    (built,) = build([newer], Course(tmp_path / "course"), notebooks)
    assert "my work" in path.read_text()
    assert "kept, it holds your work" in str(built.placed)
    assert "do you think" in (notebooks / "week" / "small.new.ipynb").read_text()
