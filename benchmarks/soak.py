"""What long use leaves behind: nothing. And `kill -9` at twenty instants: nothing lost.

    python -m benchmarks.soak             500 submissions in one process, one in ten hostile
    python -m benchmarks.soak --crash     `autograder grade` killed at twenty random instants of its run, each followed
                                          by a run to the end, which must leave what an undisturbed run leaves

Both print JSON and end with 1 when anything is not as it should be.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from autograder.build import build
from autograder.course import Course
from autograder.execute import Settings
from autograder.grade import Graded, find_submissions, grade
from autograder.sandbox import Limits
from tests.adversaries import FULL, LESSON, NOTHING, RIGHT, WRONG, Adversary, fill, hand_in, load_all, save
from tests.processes import Command, alive, descendants
from tests.small_class import left_behind, state_of

LIMITS = Limits(cell_seconds=4, notebook_seconds=20, memory_mib=1024, processes=64)
HOSTILE_EVERY = 10
LEFT_OUT = ("honest", "time")  # those that are no trouble, and those that take the time limit each
SUBREAPER = 36  # prctl: orphans of our processes become our children, so that they can be counted


def main(
    crash: Annotated[bool, typer.Option("--crash", help="kill the command instead")] = False,
    submissions: Annotated[int, typer.Option(help="how many are graded")] = 500,
    kills: Annotated[int, typer.Option(help="how often the command is killed")] = 20,
    seed: Annotated[int, typer.Option(help="of who hands in what, and when the command is killed")] = 7,
) -> None:
    """Grade a long row of submissions, or a short one again and again, and print what that left, as JSON."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        root = Path(folder)
        course = Course(root / "course")
        build([LESSON], course, root / "notebooks")
        found = killed(course, kills, seed) if crash else soaked(course, submissions, seed)
    print(json.dumps(found, indent=2))
    raise typer.Exit(0 if found["as_it_should_be"] else 1)


def soaked(course: Course, submissions: int, seed: int) -> dict[str, Any]:
    """One process, its memory after every fifth of the class, and what is left when it is done."""
    due = _class(course, submissions, seed)
    scratch = course.root.with_name("scratch")
    scratch.mkdir()
    tempfile.tempdir = str(scratch)
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    shared, before = set(os.listdir("/dev/shm")), descendants(os.getpid())
    held, took = list[float](), list[float]()
    step, begun, count = max(1, submissions // 5), time.monotonic(), 0

    def one_more(_: Graded) -> None:
        nonlocal count
        count += 1
        if count % step == 0:
            held.append(_held_mib())
            took.append(time.monotonic() - begun)

    graded = grade(course, find_submissions(course), settings=Settings(seed, LIMITS), done=one_more)
    seconds = time.monotonic() - begun
    wrong = [_name(g, due[g.student]) for g in graded if not _is_due(g, due[g.student])]
    problems = [f"{g.student}: {flag}" for g in graded for flag in g.flags if "could not be executed" in flag.reason]
    left = [str(path) for path in scratch.rglob("*")] + sorted(set(os.listdir("/dev/shm")) - shared)
    left += [str(path) for path in left_behind(course)]
    strays = len(alive(descendants(os.getpid()) - before))
    return {
        "submissions": len(graded),
        "hostile": len(range(0, submissions, HOSTILE_EVERY)),
        "seconds": round(seconds, 1),
        "seconds_per_submission_in_each_fifth": [
            round((now - before) / step, 3) for before, now in pairwise([0.0, *took])
        ],
        "grader_mib_after_each_fifth": held,
        "grader_mib_per_100_submissions": round(100 * (held[-1] - held[0]) / max(1, submissions - step), 1),
        "not_what_was_due": wrong,
        "not_executed": problems,
        "left_behind": left[:20],
        "stray_processes": strays,
        "as_it_should_be": len(graded) == submissions and not (wrong or problems or left or strays),
    }


def killed(course: Course, kills: int, seed: int) -> dict[str, Any]:
    """A class of eight, killed once at each of `kills` instants spread over its run, start-up included."""
    _class(course, 8, seed)
    root, options = course.root.parent, (f"--seed={seed}", "--cell-seconds=10")

    def on_a_copy(name: str) -> Command:
        return Command(Course(shutil.copytree(course.root, root / name)), root / f"{name}-scratch", options)

    undisturbed = on_a_copy("undisturbed")
    begun = time.monotonic()
    undisturbed.run()
    seconds, due = time.monotonic() - begun, state_of(undisturbed.course)
    chance, lost, left = random.Random(seed), [], []
    instants = [seconds * (number + chance.random()) / kills for number in range(kills)]
    for number, instant in enumerate(instants):
        command = on_a_copy(f"killed-{number}")
        command.kill(instant)
        left += [str(path) for path in command.scratch.iterdir()]
        command.run()
        left += [str(path) for path in left_behind(command.course)]
        if state_of(command.course) != due:
            lost.append(round(instant, 2))
        shutil.rmtree(command.course.root)
    return {
        "kills": kills,
        "undisturbed_s": round(seconds, 1),
        "instants_s": [round(instant, 2) for instant in instants],
        "instants_after_which_a_run_ended_otherwise": lost,
        "left_behind": left[:20],
        "as_it_should_be": not (lost or left),
    }


Due = dict[str, frozenset[float]]  # exercise -> the points that are right


def _class(course: Course, submissions: int, seed: int) -> dict[str, Due]:
    """Hand in; returns what is due, student -> exercise -> points."""
    chance = random.Random(seed)
    hostile = [adversary for adversary in load_all() if adversary.family not in LEFT_OUT]
    due = {}
    for number in range(submissions):
        kind = chance.choice(hostile) if number % HOSTILE_EVERY == 0 else _honest(chance)
        one = replace(kind, student=f"s{number:03}-{kind.family}-{kind.name}")
        hand_in(course, one)
        due[one.student] = dict(one.points)
    return due


def _honest(chance: random.Random) -> Adversary:
    """Some answers right, some wrong, each for itself."""
    wrong = [exercise for exercise in RIGHT if chance.random() < 0.3]
    answers = RIGHT | {exercise: WRONG[exercise] for exercise in wrong}
    points = FULL | {exercise: NOTHING[exercise] for exercise in wrong}
    return Adversary(
        "honest",
        "drawn",
        student="",
        story="",
        points={exercise: frozenset([due]) for exercise, due in points.items()},
        flags=None,
        secrets=(),
        refused=False,
        answers=answers,
        write=lambda folder, release: save(fill(release, answers), folder / f"{LESSON.name}.ipynb"),
    )


def _is_due(graded: Graded, due: Due) -> bool:
    return all(points in due[exercise] for exercise, (points, _) in graded.exercises.items())


def _name(graded: Graded, due: Due) -> str:
    got = {name: points for name, (points, _) in graded.exercises.items() if points not in due[name]}
    return f"{graded.student}: {got} instead of { ({name: _listed(due[name]) for name in got}) }"


def _listed(points: Iterable[float]) -> str:
    return " or ".join(f"{one:g}" for one in sorted(points))


def _held_mib() -> float:
    with open("/proc/self/statm") as file:
        return round(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


if __name__ == "__main__":
    typer.run(main)
