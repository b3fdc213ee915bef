"""What grading knows of a lesson: its cells as released, the reference answers, what the tests report with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nbformat import NotebookNode

from autograder.cells import cells_of
from autograder.judge import Record, Transcript, Verdict
from autograder.passes import Cells, Pass, Settings, Step
from autograder.withhold import Secrets, inside, without_hidden


@dataclass(frozen=True)
class Reference:
    """A lesson as grading knows it. Holds no notebook, so that it is cheap to send to a worker."""

    cells: Cells
    transcripts: Mapping[str, Transcript]  # grade_id of a test -> what its checks report with the reference
    secrets: Secrets  # lines that no student may be shown

    def verdict(self, step: Step) -> Verdict:
        """The judge's verdict on one run of a test."""
        transcript = self.transcripts.get(step.grade_id)
        if transcript is None:
            return Verdict(0.0, "the lesson has no such test")
        return transcript.judge(step.records, finished=step.status == "passed")


class LessonError(RuntimeError):
    """The lesson itself is broken: a test does not pass with the reference; the text says which."""


def run_reference(source: NotebookNode, settings: Settings, elsewhere: bool = False) -> dict[str, list[Record]]:
    """Run an instructor notebook and return what each test's checks report.

    Args:
        source: the instructor notebook.
        settings: as for submissions.
        elsewhere: with its objects at other addresses, so that the ids of objects differ from those of other runs.

    Raises:
        LessonError: a cell of it fails.
    """
    found: dict[str, list[Record]] = {}
    for step in Pass(source, settings, None, elsewhere=elsewhere).steps():
        if step.status != "passed":
            raise LessonError(f"cell {step.index + 1} fails with the reference: {step.message}")
        if step.kind == "test":
            found[step.grade_id] = step.records
    return found


def make_reference(source: NotebookNode, one: dict[str, list[Record]], other: dict[str, list[Record]]) -> Reference:
    """The reference of an instructor notebook from two runs of it with one seed, the other one `elsewhere`.

    Raises:
        LessonError: the runs disagree on which checks a test makes.
    """
    transcripts = {}
    for test, records in one.items():
        try:
            transcripts[test] = Transcript(records, other[test])
        except ValueError as error:
            raise LessonError(f"{test} {error}") from None
    texts = [cell.source for cell in source.cells]
    release = NotebookNode(cells=[NotebookNode(source=without_hidden(text)) for text in texts])
    secrets = Secrets.of((line for text in texts for line in inside(text)), release)
    return Reference(cells_of(source), transcripts, secrets)
