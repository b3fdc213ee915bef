"""Every lesson keeps its promises: its tests are proven, it reads through, and it grades the same in both ways."""

from __future__ import annotations

import copy
import secrets
from pathlib import Path

import pytest
from nbclient import NotebookClient

from autograder.build import instructor_notebook
from autograder.cases import kill_table, markdown, read_cases, too_few
from autograder.execute import Settings, execute
from autograder.reference import make_reference, run_reference
from autograder.sandbox import Limits, close_idle_workers
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
def test_the_harness_and_the_pipeline_agree(lesson):
    """The kill table comes from forked snapshots. A sample of the cases also goes through sandbox and judge."""
    lesson_source = read_lesson(LESSONS[lesson])
    source = instructor_notebook(lesson_source)
    settings = Settings(seed=secrets.randbits(31), limits=Limits(cell_seconds=20), carried=0)
    reference = make_reference(source, run_reference(source, settings), run_reference(source, settings, True))
    cases = read_cases(lesson_source)
    wrong = [case for case in cases if case.role == "misconception"][2::12]
    other = [case for case in cases if case.role == "alternative"]
    for case in [*wrong, *other[1::4]]:
        assert _passes(source, case, settings, reference) == (case.role == "alternative"), (
            f"{case.exercise}: {case.name!r}"
        )
    run = execute(source, settings, reference)
    assert [flag["reason"] for flag in run.metadata.autograder.flags] == []
    close_idle_workers()


def _passes(source, case, settings, reference):
    notebook = copy.deepcopy(source)
    for cell in notebook.cells:
        if cell.id == f"exercise-{case.exercise}":
            cell.source = case.source
    run = execute(notebook, settings, reference)
    assert run.metadata.autograder.flags == [], f"{case.exercise}: {case.name!r} is flagged"
    return next(c.metadata.autograder.credit for c in run.cells if c.id == f"test-{case.exercise}") == 1
