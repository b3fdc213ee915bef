"""One pass through a notebook: its cells, one after the other, in a process of their own."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

from autograder.cells import bound_names, cells_of, grade_id, kind_of, runs_when_grading
from autograder.judge import Record
from autograder.sandbox import DEFENCES, Ended, Isolation, Limits, Run, worker
from autograder.withhold import without_hidden

MESSAGE_CHARACTERS = 2000  # an exception may say anything at any length
Cells = Mapping[str, tuple[str, str]]  # of a lesson: grade_id -> (kind, source)
Plan = list[tuple[int, str, str]]  # what to run: (index in the notebook, kind, source)


@dataclass(frozen=True)
class Settings:
    """How a notebook is executed.

    Args:
        seed: of the run; `llmsys.check` draws its inputs from it, so the same seed gives the same grade again.
        limits: what a submission may use.
        isolation: "warm" forks it from a warm interpreter, "fresh" starts a sandbox for it alone, "none"
            has no sandbox.
        carried: the share of its points that an exercise gets which passes only with the reference in the place of
            earlier wrong answers; 0 turns error carried forward off.
        defences: all of them, unless a test shows what one is for.
    """

    seed: int
    limits: Limits = field(default_factory=Limits)
    isolation: Isolation = "warm"
    carried: float = 1.0
    defences: frozenset[str] = DEFENCES


@dataclass
class Step:
    """What became of one cell in one pass."""

    index: int
    kind: str
    grade_id: str
    status: str
    seconds: float = 0.0
    message: str = ""
    outputs: list[Any] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)


class Pass:
    """Runs through a notebook once, with some answers replaced."""

    def __init__(
        self, notebook: NotebookNode, settings: Settings, cells: Cells | None, *, elsewhere: bool = False
    ) -> None:
        """`elsewhere`: let objects lie at other addresses than in other passes."""
        self.notebook, self.settings, self.cells, self.elsewhere = notebook, settings, cells, elsewhere
        self.stopped = ""  # why nothing more is run, once that is so
        self.ended_by: Step | None = None  # the cell that ended the process

    def steps(self, plan: Plan | None = None, deadline: float | None = None) -> list[Step]:
        """Run the cells of `plan` (index, kind, source) one after the other.

        Args:
            plan: default: the notebook as it stands.
            deadline: on the monotonic clock; default: what a notebook may take from here on.
        """
        plan = plan if plan is not None else self.plan()
        own = _own_names(self.cells or cells_of(self.notebook))
        start: dict[str, Any] = {"seed": self.settings.seed, "own": own, "defences": sorted(self.settings.defences)}
        start["elsewhere"] = self.elsewhere
        found = self._run(plan, start, deadline)
        if found and "sandbox is gone" in found[0].message:  # what ended it can't have been this submission
            self.stopped, self.ended_by = "", None
            found = self._run(plan, start, deadline)
        return found

    def _run(self, plan: Plan, start: dict[str, Any], deadline: float | None) -> list[Step]:
        limits = self.settings.limits
        found = []
        with worker(self.settings.isolation, limits) as warm, warm.run(start, limits) as run:
            self._deadline = deadline or time.monotonic() + limits.notebook_seconds
            for index, kind, source in plan:
                found.append(self._step(run, index, kind, source))
        return found

    def plan(self) -> Plan:
        """The notebook's cells, ours in the words of the reference."""
        cells = enumerate(self.notebook.cells)
        # An empty answer has its place all the same: the reference may have to take it.
        return [(i, *self._of(c)) for i, c in cells if runs_when_grading(c) or kind_of(c) == "answer"]

    def _of(self, cell: NotebookNode) -> tuple[str, str]:
        if self.cells is None:
            return kind_of(cell), cell.source
        # Whatever calls itself given or a test is one only where the lesson has it, and then as the lesson has it.
        kind, source = self.cells.get(grade_id(cell), ("own", cell.source))
        return (kind, source) if kind in ("given", "test") else (kind, cell.source)

    def _step(self, run: Run, index: int, kind: str, source: str) -> Step:
        step = Step(index, kind, grade_id(self.notebook.cells[index]), "not run")
        left = self._deadline - time.monotonic()
        if not self.stopped and left <= 0:
            self.stopped = f"the notebook had used its {self.settings.limits.notebook_seconds:g} s"
        if self.stopped:
            step.message = f"not run: {self.stopped}"
            return step
        seconds = min(self.settings.limits.cell_seconds, max(left, 0.05))
        begun = time.monotonic()
        try:
            said = run.cell(_message(step, kind, source, seconds))
        except Ended as end:
            step.seconds = time.monotonic() - begun
            self._ended(step, end, seconds)
            return step
        step.seconds = time.monotonic() - begun
        step.outputs, step.records, step.notes = said["outputs"], said["records"], said["notes"]
        if said["status"] == "ok":
            step.status = "passed"
        elif said["status"] == "timeout":
            step.status, step.message = "timeout", f"stopped after {seconds:.3g} s"
        else:
            step.status = "failed"
            step.message = _named(str(said.get("ename", "")), str(said.get("evalue", "")), self.settings.limits)
        return step

    def _ended(self, step: Step, end: Ended, seconds: float) -> None:
        self.ended_by = step
        if end.timeout:
            step.status = "timeout"
            step.message = f"stopped after {seconds:.3g} s, {end}"
            self.stopped = f"cell {step.index + 1} ran over {seconds:.3g} s and would not be interrupted"
        else:
            step.status = "died"
            step.message = self.stopped = f"the kernel died in cell {step.index + 1} ({end})"


def _own_names(cells: Cells) -> list[str]:
    """The names that answers are there to bind."""
    return sorted({name for kind, source in cells.values() if kind == "answer" for name in bound_names(source)})


def _message(step: Step, kind: str, source: str, seconds: float) -> dict[str, Any]:
    return {
        "kind": "answer" if kind == "own" else kind,
        "name": step.grade_id or f"cell {step.index + 1}",
        "index": zlib.crc32(step.grade_id.encode()),  # the same wherever a student moved or inserted cells
        "source": source,
        "seconds": seconds,
        "exports": bound_names(without_hidden(source)) if kind == "test" else [],
        "binds": bound_names(source) if kind == "test" else [],
    }


def _named(kind: str, words: str, limits: Limits) -> str:
    if kind == "MemoryError" or "can't allocate memory" in words:
        words = f"{words.splitlines()[0] if words else 'out of memory'} (the limit is {limits.memory_mib} MiB)"
    elif kind == "OSError" and "No space left" in words:
        words = f"{words} (the limit is {limits.disk_mib} MiB)"
    return f"{kind}: {words}"[:MESSAGE_CHARACTERS]
