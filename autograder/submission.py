"""What is graded: one student's answer to one assignment, on its way from a folder to the gradebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nbformat import NotebookNode

FlagKind = Literal["problem", "repaired", "tampering", "suspicious", "leak", "limit", "flaky"]


@dataclass(frozen=True)
class Flag:
    """One line of the review list: something for a person to look at, never an accusation.

    The kinds: "problem" (not handed in, can't be read, the machinery failed), "repaired" (a notebook that was not as
    released, and was mended), "tampering", "suspicious" (code that no answer needs), "leak" (instructor's code in an
    output), "limit" (died, or over a limit) and "flaky" (two runs disagree).
    """

    kind: FlagKind
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass
class Submission:
    """One student's answer to one assignment on its way through the three phases."""

    student: str
    assignment: str
    notebooks: dict[str, NotebookNode] = field(default_factory=dict)  # lesson -> sanitised, later executed
    unreadable: dict[str, NotebookNode] = field(default_factory=dict)  # lesson -> what is recorded in its place
    flags: list[Flag] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        return self.assignment, self.student


@dataclass(frozen=True)
class Graded:
    """A submission that is in the gradebook, with its score and what a person should look at."""

    student: str
    assignment: str
    score: float
    max_score: float
    exercises: dict[str, tuple[float, float]]  # exercise -> points, of how many
    flags: tuple[Flag, ...]
