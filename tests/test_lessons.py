"""Every lesson keeps its promises: its tests are proven, it reads through, and it grades the same in both ways."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from autograder.build import build, instructor_notebook
from autograder.cases import kill_table, markdown, read_cases, too_few
from autograder.course import Course
from autograder.execute import Limits, execute
from autograder.snapshot import judge_lessons
from autograder.source import find_lessons, read_lesson

ROOT = Path(__file__).parent.parent
SOLUTIONS, KILL_TABLE = ROOT / "solutions", ROOT / "docs" / "kill_table.md"
LESSONS = {f"{path.parent.name}/{path.stem}": path for path in find_lessons(SOLUTIONS)}


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_cases_prove_the_tests(lesson):
    ((_, verdicts),) = judge_lessons([LESSONS[lesson]])
    wrong = [f"{v.case.exercise}: {v.case.role} {v.case.name!r} {v.message}" for v in verdicts if not v.right]
    assert not wrong, "\n".join(wrong)
    assert too_few(kill_table(verdicts)) == []
    assert markdown(lesson, verdicts) in KILL_TABLE.read_text(encoding="utf-8"), "run 'make cases' and commit"


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_lesson_reads_from_top_to_bottom(lesson, tmp_path):
    """With the demonstrations, as a reader with right answers runs it: no error, no cell over 60 s."""
    notebook = instructor_notebook(read_lesson(LESSONS[lesson]))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=60, skip_cells_with_tag="", resources=resources).execute()
    figures = [o for c in notebook.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert figures
    for figure in figures:
        assert figure.metadata.get("image/png", {}).get("alt"), "a figure without alternative text: use plots.show"


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_harness_and_the_pipeline_agree(lesson, tmp_path):
    """The kill table comes from forked snapshots. A sample of the cases also goes through a kernel, one each."""
    source = read_lesson(LESSONS[lesson])
    sample = [case for case in read_cases(source) if case.role == "misconception"][2::12]
    course = Course(tmp_path / "course")
    build([source], course, tmp_path / "notebooks")
    for case in sample:
        notebook = nbformat.read(course.source_path(source.assignment, source.name), as_version=4)
        cells = {cell.id: cell for cell in notebook.cells}
        cells[f"exercise-{case.exercise}"].source = case.source
        run = execute(notebook, seed=1, limits=Limits(cell_seconds=20))
        outcome = next(c.metadata.autograder for c in run.cells if c.id == f"test-{case.exercise}")
        assert outcome.status != "passed", f"{case.exercise}: {case.name!r} passes in the pipeline"
