"""The grader is killed, interrupted or started twice: the next run finishes the class as if nothing had happened.

Twenty runs are killed within the writing of a class (`_Replay` has its notebooks executed before, so that a run takes
a second and most instants fall where something is written), and the command itself, sandboxes and all, at a few more.
`benchmarks/soak.py --crash` does the same to the command twenty times.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import re
import shutil
import signal
import time
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import datetime

import nbformat
import pytest

from autograder.course import Course, configure
from autograder.execute import Settings
from autograder.grade import find_submissions, grade
from autograder.store import Store
from tests.processes import SECONDS, Command, alive, descendants, until
from tests.small_class import RIGHT, SEED, STUDENTS, hand_in_all, left_behind, state_of

KILLS, COMMANDS_KILLED = 20, 3


class _Replay(Executor):
    """Executes each notebook once and for all."""

    def __init__(self):
        self.known = {}

    def submit(self, function, notebook, *others):
        future = Future()
        names = [other for other in others if isinstance(other, bool | str)]
        key = function.__name__, hashlib.sha256(json.dumps([notebook, names]).encode()).digest()
        if key not in self.known:
            self.known[key] = pickle.dumps(function(notebook, *others))
        future.set_result(pickle.loads(self.known[key]))
        return future


class _Nothing(Executor):
    def submit(self, *_):
        raise AssertionError("a notebook was executed again")


@pytest.fixture(autouse=True)
def late_is_nothing(monkeypatch):
    def penal(c):
        c.LateSubmissionPlugin.penalty_method = "zero"
        return configure(c)

    monkeypatch.setattr("autograder.course.configure", penal)


@pytest.fixture
def in_use(course, hand_in) -> tuple[Course, _Replay]:
    """A class that was graded, marked by a person, and that has handed in again since; and what executes it."""
    hand_in_all(hand_in)
    executor = _Replay()
    _grade(course, executor)
    with course.gradebook() as book:
        book.update_or_create_assignment("week", duedate=datetime(2030, 3, 1, 12))
        book.find_grade("why", "small", "week", "ada").manual_score = 3.5
        book.find_grade("test_double", "small", "week", "gus").manual_score = 1.25
        book.find_comment("why", "small", "week", "cleo").manual_comment = "see me"
        book.db.commit()
    for student in ("ada", "bob", "dan", "fay"):
        _answer(course, student, RIGHT | {"triple": f"def triple(x):\n    return 3 * x  # {student} again"})
    _answer(course, "cleo", {"double": "import os\nos.kill(os.getpid(), 9)"})
    course.submitted_path("hal", "week").joinpath("small.ipynb").unlink()
    return course, executor


def _answer(course: Course, student: str, answers: dict[str, str]) -> None:
    path = course.submitted_path(student, "week") / "small.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = answers.get(cell.id.removeprefix("exercise-"), cell.source)
    nbformat.write(notebook, path)


def _grade(course, executor):
    return grade(course, find_submissions(course), settings=Settings(SEED), executor=executor)


def _killed(course: Course, executor: Executor, instant: float) -> bool:
    """Grade in a process that is killed after `instant` seconds; whether it was still at work."""
    child = os.fork()
    if not child:
        try:
            _grade(course, executor)
        finally:
            os._exit(0)
    time.sleep(instant)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_any_instant_the_next_run_finishes_the_class(in_use):
    course, executor = in_use
    undisturbed = Course(shutil.copytree(course.root, course.root.with_name("undisturbed")))
    _grade(undisturbed, executor)  # so that all is executed
    shutil.rmtree(undisturbed.root)
    shutil.copytree(course.root, undisturbed.root)
    begun = time.monotonic()
    results = _grade(undisturbed, executor)
    seconds, due = time.monotonic() - begun, state_of(undisturbed)
    chance, at_work = random.Random(SEED), 0
    for number in range(KILLS):
        killed = Course(shutil.copytree(course.root, course.root.with_name(f"killed-{number}")))
        at_work += _killed(killed, executor, seconds * (number + chance.random()) / KILLS)
        assert _grade(killed, executor) == results
        assert state_of(killed) == due
        assert _grade(killed, _Nothing()) == results
        assert left_behind(killed) == []
        shutil.rmtree(killed.root)
    assert at_work > KILLS // 4


def test_what_a_killed_grader_had_half_written_is_gone(course):
    half = course.root / ".autograder" / "results" / ".new-half"
    half.parent.mkdir(parents=True)
    half.write_text("{")
    with Store(course).alone():
        pass
    assert left_behind(course) == []


# ---------------------------------------------------------------- the command, sandboxes and all


@pytest.fixture
def command(course, hand_in, tmp_path) -> Command:
    hand_in_all(hand_in)
    return Command(course, tmp_path / "scratch", (f"--seed={SEED}",))


def test_the_command_killed_takes_its_sandboxes_with_it_and_goes_on_when_started_again(command, tmp_path):
    undisturbed = replace(command, course=Course(shutil.copytree(command.course.root, tmp_path / "undisturbed")))
    begun = time.monotonic()
    undisturbed.run()
    seconds, due = time.monotonic() - begun, state_of(undisturbed.course)
    chance = random.Random(SEED)
    for number in range(COMMANDS_KILLED):
        command.kill(seconds * (number + chance.random()) / COMMANDS_KILLED)
        assert list(command.scratch.iterdir()) == []
    command.run()
    assert state_of(command.course) == due
    assert list(command.scratch.iterdir()) == []
    assert left_behind(command.course) == []
    _grade(command.course, _Nothing())


def test_a_second_grader_is_told_and_an_interrupted_one_says_how_to_go_on(command):
    _answer(command.course, "hal", {"double": "while True: pass"})
    process = command.begin()
    told, _ = (second := command.start()).communicate(timeout=SECONDS)
    where = f"{command.course.root}: is being graded (process {process.pid})"
    assert second.returncode == 2
    assert told.endswith(f"autograder: {where}; wait, or stop it\n")
    assert "Traceback" not in told
    # a submission's feedback is written after the bar has counted it
    until(lambda: list(command.course.root.glob("feedback/*/*/*.html")) or process.poll() is not None)
    started = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert re.search(r"stopped; [1-7] of 8 are graded. The same command goes on from there\n", said)
    assert "Traceback" not in said
    until(lambda: not alive(started))
    assert list(command.scratch.iterdir()) == []
    _answer(command.course, "hal", STUDENTS["hal"])
    assert "8/8" in command.run()
