"""Similar pairs of a made-up class: copies are listed, with their names changed too; what everybody has is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.course import Course, CourseError
from autograder.similar import COMMON_AT_LEAST, Pair, find_similar

HandIn = Callable[..., Path]

LOOP = """def double(x):
    total = 0
    for step in range(abs(x)):
        if x > 0:
            total = total + 2
        elif x < 0:
            total = total - 2
    memory = [total, step if total else None, {"total": total}]
    for item in reversed(memory):
        if isinstance(item, dict) and not item.get("total", 1):
            total -= len(memory) % 3
        else:
            total = min(total, 2 * x) if x > 0 else max(total, 2 * x)
    return memory[0] if memory else (total + 1) * 3 - 3
"""
RENAMED = (
    LOOP.replace("total", "accumulated").replace("step", "i").replace("    memory", "    # my own idea\n    memory")
)
OTHER = """def double(x):
    from functools import reduce
    import operator
    pair = (x, x)
    table = {True: operator.add, False: operator.sub}
    result = reduce(table[x == x], pair)
    assert isinstance(result, int), f"{result} is no number, {x!r}"
    while result != x + x:
        result += 1 if result < x + x else -1
    return int(str(result)) if result not in (None, ()) else 0
"""


def pairs(course: Course, **options: float) -> dict[tuple[str, str], Pair]:
    return {(pair.student_a, pair.student_b): pair for pair in find_similar(course, "week", **options)}


def test_a_copy_with_other_names_is_listed_and_another_answer_is_not(course: Course, hand_in: HandIn) -> None:
    for student, answer in {"ada": LOOP, "bob": RENAMED, "eve": OTHER}.items():
        hand_in(student, double=answer)
    (pair,) = find_similar(course, "week")
    assert (pair.student_a, pair.student_b, pair.lesson, pair.exercises) == ("ada", "bob", "small", ("double",))
    assert pair.similarity_a == pair.similarity_b == 1
    assert 10 <= pair.lines <= 15
    assert str(pair) == "small: ada and bob are similar, for a person to look at (100% and 100%; double)"


def test_a_part_is_measured_from_both_sides(course: Course, hand_in: HandIn) -> None:
    hand_in("ada", double=LOOP)
    hand_in("bob", double=LOOP, triple=OTHER.replace("double", "triple"))
    (pair,) = find_similar(course, "week")
    assert pair.similarity_a == 1
    assert 0.2 < pair.similarity_b < 0.8
    assert pair.exercises == ("double",)


def test_what_the_release_gives_is_not_similar(course: Course, hand_in: HandIn) -> None:
    for student in ("ada", "bob"):
        hand_in(student)
    assert find_similar(course, "week", threshold=0) == []


def test_what_everybody_wrote_is_not_similar(course: Course, hand_in: HandIn) -> None:
    for number in range(COMMON_AT_LEAST + 1):
        hand_in(f"student {number}", double=LOOP)
    assert find_similar(course, "week") == []


def test_only_answers_are_compared(course: Course, hand_in: HandIn) -> None:
    for student in ("ada", "bob"):
        path = hand_in(student)
        path.write_text(path.read_text().replace("# Small numbers", LOOP.replace("\n", "\\n").replace('"', '\\"')))
    assert find_similar(course, "week") == []


def test_the_order_is_that_of_similarity_then_of_names(course: Course, hand_in: HandIn) -> None:
    for student, answer in {"d": OTHER, "c": OTHER, "b": LOOP, "a": RENAMED, "e": LOOP + OTHER}.items():
        hand_in(student, double=answer)
    found = find_similar(course, "week", threshold=0.2)
    found_with_e = [("a", "e"), ("b", "e"), ("c", "e"), ("d", "e")]
    shares = [max(pair.similarity_a, pair.similarity_b) for pair in found]
    assert shares == sorted(shares, reverse=True)
    assert [(p.student_a, p.student_b) for p in found] == [("a", "b"), ("c", "d"), *found_with_e]
    assert found == find_similar(course, "week", threshold=0.2)


@pytest.mark.parametrize("content", ["", "[1]", '{"cells": [{"cell_type": "code"}]}', "\x00"])
def test_what_is_no_notebook_stops_nothing(course: Course, hand_in: HandIn, content: str) -> None:
    for student, answer in {"ada": LOOP, "bob": LOOP}.items():
        hand_in(student, double=answer)
    hand_in("eve").write_text(content)
    assert list(pairs(course)) == [("ada", "bob")]


def test_nothing_is_printed(course: Course, hand_in: HandIn, capfd: pytest.CaptureFixture[str]) -> None:
    for student in ("ada", "bob"):
        hand_in(student, double=LOOP)
    assert find_similar(course, "week")
    assert capfd.readouterr() == ("", "")


def test_an_unknown_assignment_is_named(course: Course) -> None:
    with pytest.raises(CourseError, match="no assignment 'weak' was built here"):
        find_similar(course, "weak")
