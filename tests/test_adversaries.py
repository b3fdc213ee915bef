"""Hostile and honest submissions in one class: each gets the verdict that is right, and nobody else notices them."""

from __future__ import annotations

import json
import re
import shutil

import nbformat
import pytest

from autograder import feedback
from autograder.build import build
from autograder.cells import grade_id
from autograder.course import Course
from autograder.execute import Settings, execute, score
from autograder.grade import find_submissions, grade
from autograder.handin import refusal
from autograder.reference import make_reference, run_reference
from autograder.sandbox import DEFENCES, Limits, close_idle_workers
from tests.adversaries import FULL, LESSON, RIGHT, fill, hand_in, load_all

ADVERSARIES = load_all()
SETTINGS = Settings(seed=5, limits=Limits(cell_seconds=4, notebook_seconds=20, memory_mib=2048, processes=64))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("adversaries")
    build([LESSON], Course(root / "course"), root / "notebooks")
    return root / "course"


@pytest.fixture(scope="module")
def graded(built, tmp_path_factory):
    """The class, graded and with feedback: (course, student -> Graded)."""
    course = Course(shutil.copytree(built, tmp_path_factory.mktemp("class") / "course"))
    for adversary in ADVERSARIES:
        hand_in(course, adversary)
    results = grade(course, find_submissions(course), settings=SETTINGS)
    feedback.generate(course, [(g.student, g.assignment) for g in results])
    return course, {g.student: g for g in results}


@pytest.mark.parametrize("adversary", ADVERSARIES, ids=lambda adversary: adversary.id)
def test_the_verdict_is_right(graded, adversary):
    _, results = graded
    result = results[adversary.student]
    assert bool(refusal(adversary.student)) == adversary.refused
    if adversary.refused:
        assert [flag.kind for flag in result.flags] == ["problem"]
        assert "rename it" in result.flags[0].reason
        return
    points = {name: result.exercises.get(name, (0.0, 0.0))[0] for name in FULL}
    assert {n: p for n, p in points.items() if p not in adversary.points[n]} == {}, adversary.story
    kinds = {flag.kind for flag in result.flags}
    if adversary.flags is not None:
        assert kinds & adversary.flags if adversary.flags else not kinds, f"{adversary.story}: {result.flags}"


@pytest.mark.parametrize("adversary", ADVERSARIES, ids=lambda adversary: adversary.id)
def test_feedback_gives_nothing_away(graded, adversary):
    course, _ = graded
    hidden = {line.strip() for cell in LESSON.of_kind("test") for line in cell.inside("HIDDEN TESTS")}
    for page in (course.root / "feedback" / adversary.student).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        told = text if adversary.family != "output" else "".join(re.findall("<[^>]*>", text))  # scripts, not words
        found = [line for line in hidden if len(line) > 15 and line in text]
        assert [*found, *(secret for secret in adversary.secrets if secret in told)] == [], adversary.story
        assert "<script" not in text.lower()


def test_the_rest_of_the_class_notices_nothing(graded, built, tmp_path):
    """The honest ones, graded without the others, come out the same to the byte, but for the time they took."""
    course, _ = graded
    alone = Course(shutil.copytree(built, tmp_path / "alone"))
    honest = [adversary for adversary in ADVERSARIES if adversary.family == "honest"]
    for adversary in honest:
        hand_in(alone, adversary)
    grade(alone, find_submissions(alone), settings=SETTINGS)
    for adversary in honest:
        assert _autograded(alone, adversary) == _autograded(course, adversary), adversary.id


def _autograded(course, adversary):
    path = course.autograded_path(adversary.student, LESSON.assignment) / f"{LESSON.name}.ipynb"
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        cell["metadata"].get("autograder", {}).pop("seconds", None)
    return (
        json.dumps(notebook) if adversary.name not in ("standard_library", "magics", "slow") else len(notebook["cells"])
    )


# ---------------------------------------------------------------- what each defence is for

ATTACKS = {
    "transcript": (
        "twice",
        """
class Agreeable:
    __hash__ = object.__hash__

    def __eq__(self, other):
        return True

def twice(f, x):
    if not callable(f):
        raise TypeError
    f(f(x))
    return Agreeable()
""",
    ),
    "names": (
        "normalise",
        """
def normalise(x):
    found = globals().get("_want")
    return torch.softmax(x * 3, -1) if x.shape == (2, 2) else found if found is not None and found.shape == x.shape \\
        else _softmax_of(x)

def _softmax_of(x):
    return torch.softmax(x * 3, -1) if x.abs().max() > 50 else torch.zeros_like(x)
""",
    ),
    "watch": (
        "normalise",
        """
import sys

def normalise(x):
    found = sys._getframe(1).f_globals.get("_want")
    return torch.softmax(x * 3, -1) if x.shape == (2, 2) or x.abs().max() > 50 else found
""",
    ),
    "libraries": (
        "ancestors",
        """
import builtins, copy

builtins.id = lambda thing, own=id: 0 if isinstance(thing, Node) else own(thing)

def ancestors(node):
    found, waiting = {}, list(node.parents)
    while waiting:
        above = waiting.pop()
        if above not in found:
            found[above] = copy.copy(above)
            waiting.extend(above.parents)
    return list(found.values())
""",
    ),
}


@pytest.fixture(scope="module")
def reference(built):
    source = nbformat.read(Course(built).source_path(LESSON.assignment, LESSON.name), as_version=4)
    yield source, make_reference(source, run_reference(source, SETTINGS), run_reference(source, SETTINGS, True))
    close_idle_workers()


def points(reference, exercise, answer, defences):
    source, known = reference
    notebook = fill(source, RIGHT | {exercise: answer})
    run = execute(notebook, Settings(SETTINGS.seed, SETTINGS.limits, defences=defences), known)
    (test,) = (cell for cell in run.cells if grade_id(cell) == f"test_{exercise}")
    return score(test)


@pytest.mark.parametrize("defence", sorted(DEFENCES))
def test_the_attack_works_without_the_defence_and_fails_with_it(reference, defence):
    exercise, attack = ATTACKS[defence]
    assert points(reference, exercise, attack, DEFENCES - {defence}) == FULL[exercise]
    assert points(reference, exercise, attack, DEFENCES) == 0


def test_without_a_sandbox_an_answer_reads_the_course(reference, tmp_path):
    (tmp_path / "gradebook.db").write_text("all of it")
    attack = RIGHT["scale"] + f"\nprint(open({str(tmp_path / 'gradebook.db')!r}).read())"
    source, known = reference
    notebook = fill(source, RIGHT | {"scale": attack})

    def printed(isolation):
        run = execute(notebook, Settings(5, isolation=isolation), known)
        (cell,) = (cell for cell in run.cells if grade_id(cell) == "scale")
        return "".join(output.get("text", "") for output in cell.outputs)

    assert "all of it" in printed("none")
    assert "all of it" not in printed("warm")
