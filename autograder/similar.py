"""Pairs of submissions that are similar, for a person to look at. Never an accusation: there are few ways to add.

copydetect compares the tokens of answers, with names and strings made alike (winnowing, as MOSS does). Left out is what
the release gives, and what much of a class has: the same short answer to the same question says nothing.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbgrader.utils import is_solution

from autograder.course import Course, CourseError

THRESHOLD = 0.6  # share of what is a student's own
TOKENS = 25  # the shortest passage that counts, in copydetect's characters
LEAST = 150  # of them in both: less is no evidence of anything
COMMON = 0.1  # of a class: what more students than that have is everybody's,
COMMON_AT_LEAST = 10  # in a class of any size
BLOCK = 8192  # passages that are counted at once
_BETWEEN = "\n?\n"  # no Python, so it stays as it is: no passage may reach from one cell into the next


@dataclass(frozen=True)
class Pair:
    """Two students' answers to one lesson, similar for a person to look at.

    `similarity_a` is the share of what `student_a` has of their own that is found in the other's as well. `exercises`
    are those of `student_a` with such passages, `lines` how many lines they have.
    """

    student_a: str
    student_b: str
    lesson: str
    similarity_a: float
    similarity_b: float
    exercises: tuple[str, ...]
    lines: int

    def __str__(self) -> str:
        shares = f"{self.similarity_a:.0%} and {self.similarity_b:.0%}"
        where = ", ".join(self.exercises)
        who = f"{self.student_a} and {self.student_b}"
        return f"{self.lesson}: {who} are similar, for a person to look at ({shares}; {where})"


def find_similar(course: Course, assignment: str, threshold: float = THRESHOLD) -> list[Pair]:
    """The pairs of an assignment, the most similar first.

    Args:
        course: an nbgrader course directory; answers come from its autograded directory, else as they were handed in.
        assignment: its name.
        threshold: list a pair where the share of one of the two is as much.

    Raises:
        CourseError: the assignment was never built here.
    """
    releases = sorted((course.root / "release" / assignment).glob("*.ipynb"))
    if not releases:
        raise CourseError(f"{course.root}: no assignment {assignment!r} was built here; run 'autograder build'")
    pairs = [pair for release in releases for pair in _in_lesson(course, assignment, release, threshold)]
    return sorted(pairs, key=_most_similar_first)


def _most_similar_first(pair: Pair) -> tuple[float, float, str, str, str]:
    low, high = sorted((pair.similarity_a, pair.similarity_b))
    return -high, -low, pair.lesson, pair.student_a, pair.student_b


def _in_lesson(course: Course, assignment: str, release: Path, threshold: float) -> Iterator[Pair]:
    given = set(_Answers(release).passages)
    answers = {student: _Answers(path) for student, path in _handed_in(course, assignment, release.name)}
    seen = Counter(passage for answer in answers.values() for passage in answer.passages)
    everybodys = {passage for passage, n in seen.items() if n > max(COMMON_AT_LEAST, COMMON * len(answers))}
    for answer in answers.values():
        answer.forget(given | everybodys)
    students = [student for student, answer in sorted(answers.items()) if answer.size >= LEAST]
    for a, b in _candidates([answers[student].passages for student in students], threshold):
        pair = _compared(release.stem, (students[a], answers[students[a]]), (students[b], answers[students[b]]))
        if max(pair.similarity_a, pair.similarity_b) >= threshold:
            yield pair


def _handed_in(course: Course, assignment: str, name: str) -> Iterator[tuple[str, Path]]:
    """Student and notebook; the autograded one where there is one, for there a student's surgery is undone."""
    for folder in (course.root / "submitted").glob(f"*/{assignment}"):
        student = folder.parent.name
        for path in (course.autograded_path(student, assignment) / name, folder / name):
            if path.exists():
                yield student, path
                break


class _Answers:
    """The solution cells of a notebook, tokenized by copydetect."""

    def __init__(self, path: Path) -> None:
        from copydetect import CodeFingerprint  # brings matplotlib with it

        cells = list(_solutions(path))
        text = _BETWEEN.join(source for _, source in cells)
        lines = _BETWEEN.count("\n")
        self.exercises = [name for name, source in cells for _ in range(source.count("\n") + lines)]  # of each line
        self.line_ends = [index for index, letter in enumerate(text) if letter == "\n"]
        # A window of one keeps every passage: which of them a wider one keeps depends on Python's hash seed.
        self.fingerprint = CodeFingerprint(str(path), TOKENS, 1, language="python", fp=io.StringIO(text))
        self._keep(lambda passage, place: "?" not in self.fingerprint.filtered_code[place : place + TOKENS])

    @property
    def passages(self) -> set[int]:
        """A number for each passage of `TOKENS`; it means nothing in another process."""
        return self.fingerprint.hashes

    @property
    def size(self) -> int:
        return int(self.fingerprint.token_coverage)

    def forget(self, passages: set[int]) -> None:
        """Take out what is not the student's own."""
        self._keep(lambda passage, place: passage not in passages)

    def _keep(self, wanted: Callable[[int, int], bool]) -> None:
        """Only the `wanted` passages, each at its place in the tokenized text."""
        from copydetect.utils import get_token_coverage

        found = self.fingerprint
        kept = {passage: [at for at in places if wanted(passage, at)] for passage, places in found.hash_idx.items()}
        found.hash_idx = {passage: places for passage, places in kept.items() if places}
        found.hashes = set(found.hash_idx)
        found.token_coverage = get_token_coverage(found.hash_idx, TOKENS, len(found.filtered_code))

    def lines(self, slices: Any) -> set[int]:
        """The lines, from 0, that copydetect's `slices` (2 x N: begin and end of each, in characters) touch."""
        spans = zip(*slices, strict=True)
        return {
            line
            for begin, end in spans
            for line in range(bisect_left(self.line_ends, begin), bisect_left(self.line_ends, end - 1) + 1)
        }


def _solutions(path: Path) -> Iterator[tuple[str, str]]:
    """Exercise and source of each solution cell; none of a file that is no notebook."""
    try:
        notebook = nbformat.reader.reads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and is_solution(cell)]
        yield from [(str(cell.metadata.nbgrader.grade_id), str(cell.source)) for cell in cells]
    except (AttributeError, KeyError, OSError, TypeError, ValueError, nbformat.ValidationError):
        return


def _candidates(passages: Sequence[set[int]], threshold: float) -> list[tuple[int, int]]:
    """Pairs with enough in common to be worth comparing, by counting in matrices: all pairs of 500 in seconds."""
    seen = Counter(passage for own in passages for passage in own)
    places = {passage: place for place, passage in enumerate(p for p, n in seen.items() if n > 1)}
    shared = np.zeros((len(passages), len(passages)), dtype=np.float32)
    for begin in range(0, len(places), BLOCK):
        has = np.zeros((len(passages), BLOCK), dtype=np.float32)
        for row, own in enumerate(passages):
            columns = [places[p] - begin for p in own if p in places and begin <= places[p] < begin + BLOCK]
            has[row, columns] = 1
        shared += has @ has.T
    smaller = np.array([len(own) or 1 for own in passages], dtype=np.float32)
    enough = shared >= threshold / 2 * np.minimum.outer(smaller, smaller)
    return [(int(a), int(b)) for a, b in np.argwhere(np.triu(enough, 1))]


def _compared(lesson: str, a: tuple[str, _Answers], b: tuple[str, _Answers]) -> Pair:
    from copydetect import compare_files

    (name_a, answers_a), (name_b, answers_b) = a, b
    _, similarities, slices = compare_files(answers_a.fingerprint, answers_b.fingerprint)
    lines = answers_a.lines(slices[0])
    exercises = tuple(dict.fromkeys(answers_a.exercises[line] for line in sorted(lines)))
    return Pair(name_a, name_b, lesson, float(similarities[0]), float(similarities[1]), exercises, len(lines))
