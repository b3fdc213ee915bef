"""Error carried forward: an exercise is judged on its own merits, whatever went wrong before it.

A test that failed while an earlier answer is wrong runs again, with the reference in the place of the earlier ones.
Only its verdict is kept: nothing that is printed in such a pass leaves it, so nothing of the reference reaches anybody.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from nbformat import NotebookNode

from autograder.cells import grade_id
from autograder.judge import Verdict
from autograder.passes import Pass, Plan, Settings, Step
from autograder.reference import Reference

MOST_PASSES = 6  # each goes on where a process died in the one before


def carried_forward(
    notebook: NotebookNode, settings: Settings, reference: Reference, failed: list[str]
) -> tuple[set[str], set[str]]:
    """Run the tests of `failed` (grade_ids, in the notebook's order) again, each with the reference before it.

    Returns:
        (those that pass now, tests of other exercises that fail now and passed before)
    """
    given_up, seen = {failed[0]}, dict[str, Verdict]()  # nothing wrong comes before the first
    deadline = time.monotonic() + settings.limits.notebook_seconds  # of all passes together
    for _ in range(MOST_PASSES):
        again = Pass(notebook, settings, reference.cells)
        steps = again.steps(_plan(again.plan(), notebook, reference, failed, given_up), deadline)
        seen |= {s.grade_id: reference.verdict(s) for s in steps if s.kind == "test" and s.status != "not run"}
        guilty = _exercise_at(notebook, again.ended_by, failed) if again.ended_by else None
        if guilty is None or guilty in given_up:
            break
        given_up.add(guilty)
    passed = {test for test, verdict in seen.items() if verdict.share >= 1}
    return passed & set(failed), {test for test in seen if test not in failed and test not in passed}


def _plan(
    plan: Plan, notebook: NotebookNode, reference: Reference, failed: Collection[str], given_up: Collection[str]
) -> Plan:
    """Of each failed exercise the answer and its test, then the reference over it; if given up, only the reference."""
    made: Plan = []
    mending: dict[str, Plan] = {}  # test -> what to run after it
    for index, kind, source in plan:
        name = grade_id(notebook.cells[index])
        test = f"test_{name}"
        if kind == "answer" and test in failed:
            mended = (index, "given", reference.cells[name][1])
            if test in given_up:
                made.append(mended)
                continue
            mending[test] = [mended]
        elif kind == "given":
            for steps in mending.values():
                steps.append((index, kind, source))
        elif kind == "test" and name in given_up:
            continue
        made.append((index, kind, source))
        if kind == "test":
            made += mending.pop(name, [])
    return made


def _exercise_at(notebook: NotebookNode, step: Step, failed: Collection[str]) -> str | None:
    """The test of the failed exercise to which a cell belongs: its own, else that of the last one before it."""
    names = [grade_id(cell) for cell in notebook.cells[: step.index + 1]]
    own = [test for name in reversed(names) for test in (name, f"test_{name}") if test in failed]
    return own[0] if own else None
