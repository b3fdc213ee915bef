"""Execute: the one step that touches a student's code. A pure function from notebook to notebook.

It knows no gradebook, no course and no other submission, so it can run anywhere an executor puts it. What became of
each cell is written into the cell's metadata by this process, from what came out of the sandbox and the judge made of
it:

    cell.metadata.autograder = {"status": "passed", "seconds": 0.12, "message": "", "credit": 1.0, "carried": False}

A status is "passed" (a test: judged so; any other cell: seen to run to its end), "failed" (an exception, or a test that
did not hold), "timeout", "died" (the process with it) or "not run". `credit` is the share of a test's points that is
due; `carried` says that the test failed, but passed with the reference in the place of earlier wrong answers.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade

from autograder.carry import carried_forward
from autograder.cells import exercise_of, grade_id, kind_of
from autograder.judge import Verdict
from autograder.passes import MESSAGE_CHARACTERS, Pass, Settings, Step
from autograder.reference import Reference
from autograder.review import review
from autograder.withhold import WITHHELD, Secrets

__all__ = ["Settings", "execute", "score"]


def execute(
    notebook: NotebookNode, settings: Settings, reference: Reference | None = None, name: str = "notebook"
) -> NotebookNode:
    """Run the cells of `notebook` in a process of its own and return a copy with outputs and what became of each cell.

    Args:
        notebook: sanitised; demonstrations (cells tagged "explore" that nbgrader does not know) are left out.
        settings: see there.
        reference: of the lesson. Without it a test's verdict is whether it ran to its end.
        name: of the notebook, for the review list.

    Returns:
        A copy, whose metadata holds seed, isolation and flags; `notebook` itself is not changed.

    Raises:
        SandboxError: there is no sandbox to be had.
    """
    return _Execution(copy.deepcopy(notebook), settings, reference, name).done()


class _Execution:
    """The notebook as handed in, then error carried forward, then what both say."""

    def __init__(self, notebook: NotebookNode, settings: Settings, reference: Reference | None, name: str) -> None:
        self.notebook, self.settings, self.reference, self.name = notebook, settings, reference, name
        self.flags: list[dict[str, str]] = []
        own = [cell.source for cell in notebook.cells if kind_of(cell) in ("answer", "own")]
        self.secrets = reference.secrets.but_for(own) if reference else Secrets()

    def done(self) -> NotebookNode:
        steps = Pass(self.notebook, self.settings, self.reference.cells if self.reference else None).steps()
        verdicts = {step.grade_id: self._verdict(step) for step in steps if step.kind == "test"}
        carried, unsteady = self._carried_forward(verdicts)
        for finding in review(self.notebook):
            self._flag("suspicious", finding.index, finding.reason)
        for step in steps:
            verdict = verdicts.get(step.grade_id)
            self._write(step, verdict, step.grade_id in carried)
            self._flags_of(step, verdict)
        for test in unsteady:
            self._flag(
                "flaky", _index(self.notebook, test), f"{exercise_of(test)} passes in one run and not in another"
            )
        self.notebook.metadata["autograder"] = {
            "seed": self.settings.seed,
            "isolation": self.settings.isolation,
            "flags": self.flags,
        }
        return self.notebook

    def _verdict(self, step: Step) -> Verdict:
        if self.reference is None or "transcript" not in self.settings.defences:
            return Verdict(1.0) if step.status == "passed" else Verdict(0.0, step.message)
        return self.reference.verdict(step)

    def _carried_forward(self, verdicts: dict[str, Verdict]) -> tuple[set[str], set[str]]:
        failed = [test for test, verdict in verdicts.items() if verdict.share < 1]
        if self.reference is None or self.settings.carried <= 0 or len(failed) < 2:
            return set(), set()
        return carried_forward(self.notebook, self.settings, self.reference, failed)

    # ------------------------------------------------------------ writing it down

    def _write(self, step: Step, verdict: Verdict | None, carried: bool) -> None:
        cell = self.notebook.cells[step.index]
        status, message, credit = step.status, step.message, 0.0
        if verdict is not None:
            credit = verdict.share
            if verdict.share >= 1:
                status, message = "passed", ""
            elif status == "passed":
                status, message = "failed", f"not counted: {verdict.reason}"
            if carried and verdict.share < 1:
                credit = max(credit, self.settings.carried)
        message = self._without_secrets(step, message)
        cell.metadata["autograder"] = {
            "status": status,
            "seconds": round(step.seconds, 3),
            "message": message[:MESSAGE_CHARACTERS],
            "credit": credit,
            "carried": carried and verdict is not None and verdict.share < 1,
        }
        cell.outputs = self._outputs(step, status, message)

    def _outputs(self, step: Step, status: str, message: str) -> list[NotebookNode]:
        """Of an answer what it said; of a test our own words only, so that nothing it ran can speak through it."""
        if step.kind == "test":
            if status == "passed":
                checks = len(step.records)
                said = f"{exercise_of(step.grade_id)}: {checks} check{'s' * (checks != 1)} passed.\n"
                return [new_output("stream", name="stdout", text=said)]
            return [_error(status, message)]
        outputs = [_output(said) for said in step.outputs]
        for output in outputs:
            if self.secrets.found_in(_text_of(output)):
                self._flag("leak", step.index, "an output quotes a hidden test or a reference answer")
                return [new_output("stream", name="stderr", text=f"{WITHHELD}\n")]
        explained = any(output.output_type == "error" for output in outputs)
        if status not in ("passed", "failed") or (status == "failed" and not explained):
            outputs.append(_error(status, message))
        return outputs

    def _without_secrets(self, step: Step, message: str) -> str:
        if not self.secrets.found_in(message):
            return message
        self._flag("leak", step.index, "a message quotes a hidden test or a reference answer")
        return WITHHELD

    def _flags_of(self, step: Step, verdict: Verdict | None) -> None:
        for kind, reason in step.notes:
            self._flag(str(kind), step.index, str(reason))
        if verdict is not None and verdict.tampered:
            self._flag("tampering", step.index, f"{exercise_of(step.grade_id)}: {verdict.reason}")
        if step.status == "died":
            kind = "tampering" if "channel" in step.message else "limit"
            self._flag(kind, step.index, step.message)
        elif step.status == "timeout" or "had used" in step.message:
            self._flag("limit", step.index, step.message)

    def _flag(self, kind: str, index: int, reason: str) -> None:
        flag = {"kind": kind, "where": f"{self.name}.ipynb, cell {index + 1}", "reason": reason[:300]}
        if flag not in self.flags:
            self.flags.append(flag)


def _text_of(output: NotebookNode) -> str:
    """All text of an output, the traceback's as it is shown."""
    parts = [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    return "\n".join([*parts, *(str(value) for value in output.get("data", {}).values())])


def _index(notebook: NotebookNode, name: str) -> int:
    return next((i for i, cell in enumerate(notebook.cells) if grade_id(cell) == name), 0)


def _output(said: dict[str, Any]) -> NotebookNode:
    """An output from the sandbox, which may say anything, as one of a notebook."""
    kind = said.get("output_type")
    if kind == "stream":
        name = "stderr" if said.get("name") == "stderr" else "stdout"
        return new_output("stream", name=name, text=str(said.get("text", "")))
    if kind == "error":
        lines = [str(line) for line in said.get("traceback", [])]
        return new_output("error", ename=str(said.get("ename")), evalue=str(said.get("evalue")), traceback=lines)
    data = {str(mime): str(value) for mime, value in dict(said.get("data", {})).items()}
    if kind == "execute_result":
        return new_output("execute_result", data=data, execution_count=None)
    return new_output("display_data", data=data)


def _error(status: str, message: str) -> NotebookNode:
    name, _, words = message.partition(": ")
    name = name if status == "failed" and words else status
    return new_output("error", ename=name, evalue=words or message, traceback=message.splitlines() or [status])


def score(cell: NotebookNode) -> float:
    """The points of a test cell, given only for what was seen to hold. Fails closed."""
    assert is_grade(cell)
    credit = cell.metadata.get("autograder", {}).get("credit")
    if not isinstance(credit, int | float) or isinstance(credit, bool) or not math.isfinite(credit):
        return 0.0
    return float(cell.metadata["nbgrader"]["points"]) * min(max(float(credit), 0.0), 1.0)
