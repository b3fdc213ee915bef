"""Judge many answers to a lesson fast: each runs in a fork of the reference's state just before its exercise.

One process runs the lesson with the reference in place. In front of every exercise it forks a child for each answer
to judge; the child runs that answer and the cells up to and including the exercise's test, reports, and is gone. So
a case costs its own cell and test, not the start of a kernel and the whole lesson before it. That this gives the
verdicts of the real pipeline is held by a test that sends a sample through both.
"""

from __future__ import annotations

import contextlib
import gc
import io
import linecache
import multiprocessing as mp
import os
import sys
import time
import traceback
import types
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from autograder.build import instructor_source, release_source
from autograder.cases import Case, Verdict, read_cases
from autograder.sandbox import ONE_THREAD
from autograder.source import Cell, Lesson, SourceError, read_lesson

# A fork copies the thread that calls it and no other, so nothing in the parent may have started any; and a GPU's
# context does not survive a fork at all.
ENVIRONMENT = ONE_THREAD | {"MPLBACKEND": "agg"}


def judge_lessons(
    paths: Sequence[Path], *, seconds: float = 20, jobs: int | None = None
) -> Iterator[tuple[str, list[Verdict]]]:
    """Judge all cases of the lessons, with the reference and the untouched release as controls.

    Args:
        paths: sources of the lessons.
        seconds: a case that runs longer is stopped, and counts as failed.
        jobs: children at once (default: one per core).

    Yields:
        The id of each lesson with its verdicts.
    """
    cores = jobs or os.cpu_count() or 1
    context = mp.get_context("spawn")
    for path in paths:
        lesson = read_lesson(path)
        with ProcessPoolExecutor(1, mp_context=context) as pool:  # a fresh process: the parent may hold threads
            yield lesson.id, pool.submit(_judge, path, seconds, cores).result()


def _judge(path: Path, seconds: float, jobs: int) -> list[Verdict]:
    os.environ.update(ENVIRONMENT)
    lesson = read_lesson(path)
    cases = read_cases(lesson)
    main = _main_module()
    verdicts: list[Verdict] = []
    for position, cell in enumerate(lesson.cells):
        if cell.kind == "exercise":
            rest = _up_to_test(lesson, position)
            verdicts += _fan_out(main, lesson, _answers(lesson, cell, cases), rest, seconds, jobs)
        if cell.kind in ("given", "exercise", "test"):
            _run_reference(main, lesson, cell)
    return verdicts


def _run_reference(main: types.ModuleType, lesson: Lesson, cell: Cell) -> None:
    try:
        with _quiet():
            _run(main, f"{lesson.id} line {cell.line}", instructor_source(lesson, cell))
    except Exception as error:
        raise SourceError(lesson.path, cell.line, f"does not run with the reference: {_one_error(error)}") from None


def _answers(lesson: Lesson, exercise: Cell, cases: Sequence[Case]) -> list[Case]:
    return [
        Case("reference", "reference", exercise.name, instructor_source(lesson, exercise)),
        Case("untouched", "untouched", exercise.name, release_source(lesson, exercise)),
        *(case for case in cases if case.exercise == exercise.name),
    ]


def _up_to_test(lesson: Lesson, position: int) -> list[Cell]:
    """The cells between an exercise and its test, and that test."""
    name = lesson.cells[position].name
    cells = lesson.cells[position + 1 :]
    end = next(i for i, cell in enumerate(cells) if cell.kind == "test" and cell.name == name)
    return [cell for cell in cells[: end + 1] if cell.kind in ("given", "test")]


# ---------------------------------------------------------------- forks


def _fan_out(
    main: types.ModuleType, lesson: Lesson, answers: list[Case], rest: list[Cell], seconds: float, jobs: int
) -> list[Verdict]:
    gc.freeze()  # keeps the collector from touching, and so copying, the pages that children share
    waiting = list(reversed(answers))
    running: dict[Any, tuple[Case, Any, float]] = {}
    verdicts: dict[str, Verdict] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            case = waiting.pop()
            reader, writer = mp.get_context("fork").Pipe(duplex=False)
            child = mp.get_context("fork").Process(target=_child, args=(main, lesson, case, rest, writer))
            child.start()
            writer.close()
            running[reader] = case, child, time.monotonic()
        oldest = min(begun for _, _, begun in running.values())
        ready = wait(list(running), timeout=max(0.0, oldest + seconds - time.monotonic()))
        for reader in list(running):
            case, child, begun = running[reader]
            elapsed = time.monotonic() - begun
            if reader in ready:
                passed, message = _receive(reader)
            elif elapsed >= seconds:
                passed, message = False, f"stopped after {seconds:g} s"
            else:
                continue
            child.kill()
            child.join()
            del running[reader]
            verdicts[f"{case.role} {case.name}"] = Verdict(case, passed, message, elapsed)
    return [verdicts[f"{case.role} {case.name}"] for case in answers]


def _receive(reader: Connection) -> tuple[bool, str]:
    try:
        return reader.recv()
    except EOFError:
        return False, "the process died"


def _child(main: types.ModuleType, lesson: Lesson, case: Case, rest: list[Cell], writer: Connection) -> None:
    """Runs in the fork: the answer, then the cells up to and including its test."""
    try:
        with _quiet():
            _run(main, f"{case.role} {case.name}", case.source)
            for cell in rest:
                _run(main, f"{lesson.id} line {cell.line}", instructor_source(lesson, cell))
    except BaseException as error:  # SystemExit and KeyboardInterrupt are wrong answers too
        writer.send((False, _one_error(error)))
    else:
        writer.send((True, ""))
    finally:
        writer.close()
        os._exit(0)  # no clean-up of what belongs to the parent


def _one_error(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip().replace("llmsys.check.", "")


def _main_module() -> types.ModuleType:
    """A fresh ``__main__``, which is where a kernel runs cells too (pickle and inspect look there)."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    return main


def _run(main: types.ModuleType, name: str, source: str) -> None:
    filename = f"<{name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec", dont_inherit=True), main.__dict__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    sink: Any = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        yield
