"""Grade a class: sanitise (nbgrader) -> execute (pure, on any executor) -> record (nbgrader, one writer)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass, field, replace

import nbformat
from nbformat import NotebookNode

from autograder.cells import exercise_of, grade_id
from autograder.course import Course, CourseError
from autograder.execute import Settings, execute
from autograder.record import Recorder
from autograder.reference import LessonError, Reference, make_reference, run_reference
from autograder.sandbox import LocalExecutor
from autograder.sanitise import Sanitiser, find_submissions, say_why
from autograder.store import Store, key_of
from autograder.submission import Flag, Graded, Submission

__all__ = ["Graded", "Submission", "find_submissions", "grade"]


def grade(
    course: Course,
    submissions: list[Submission],
    *,
    settings: Settings | None = None,
    executor: Executor | None = None,
    again: bool = False,
    done: Callable[[Graded], None] = lambda graded: None,
) -> list[Graded]:
    """Grade `submissions` into the course's gradebook.

    What was executed before, with the same lesson, settings, environment and grader, is not executed again; what is in
    the gradebook already is not written again. So a run that was interrupted at any instant goes on where it stopped.

    Args:
        course: an nbgrader course directory in which the assignments were built.
        submissions: see `find_submissions`. One that can't be read is recorded with 0 and never stops the others.
        settings: see `execute`; default: the course's own seed, everything else as `Settings` has it.
        executor: where `execute` runs; default: one thread with a warm sandbox for each core.
        again: execute everything once more, and flag a verdict that comes out differently.
        done: called with each submission once it is in the gradebook.

    Raises:
        CourseError: a lesson is broken, or the gradebook can't be written.
        SandboxError: there is no sandbox to be had.
    """
    store = Store(course)
    with store.alone():
        settings = settings or Settings(store.seed())
        store.log(submissions=len(submissions), seed=settings.seed, isolation=settings.isolation)
        with Recorder(course) as recorder:
            results = []
            grading = _Grading(course, store, recorder, settings, again)
            with contextlib.closing(grading.graded(submissions, executor)) as one_by_one:
                for graded in one_by_one:
                    results.append(graded)
                    done(graded)
    return sorted(results, key=lambda g: (g.assignment, g.student))


@dataclass
class _Waiting:
    """A submission of which some notebooks are to be executed."""

    submission: Submission
    keys: dict[str, str] = field(default_factory=dict)  # lesson -> key of its result
    left: set[str] = field(default_factory=set)  # lessons


class _Grading:
    """One run over a class."""

    def __init__(self, course: Course, store: Store, recorder: Recorder, settings: Settings, again: bool) -> None:
        self.course, self.store, self.recorder, self.settings, self.again = course, store, recorder, settings, again
        self.sources: dict[tuple[str, str], bytes] = {}

    def graded(self, submissions: list[Submission], executor: Executor | None) -> Generator[Graded]:
        """Each submission as soon as it is in the gradebook."""
        sanitiser = Sanitiser(self.course)
        waiting = []
        with contextlib.ExitStack() as stack:
            for submission in submissions:
                sanitiser.sanitise(submission)
                one = self._waiting(submission)
                known = None if self.again else self.recorder.recorded(submission, one.keys)
                if known is not None:
                    self._forget(one)  # of a run that was killed just after it was recorded
                    yield known
                    continue
                self._look_up(one)
                if not one.left:
                    yield self._record(one)
                    continue
                waiting.append(one)
                if executor is None:
                    executor = stack.enter_context(LocalExecutor(self.settings.isolation, self.settings.limits))
            if executor is not None:
                for one in self._executed(waiting, executor):
                    yield self._record(one)

    def _waiting(self, submission: Submission) -> _Waiting:
        keys = {
            lesson: key_of(notebook, self._source(submission.assignment, lesson), self.settings)
            for lesson, notebook in submission.notebooks.items()
        }
        return _Waiting(submission, keys, set(keys))

    def _source(self, assignment: str, lesson: str) -> bytes:
        if (assignment, lesson) not in self.sources:
            path = self.course.source_path(assignment, lesson)
            try:
                self.sources[assignment, lesson] = path.read_bytes()
            except OSError as error:
                raise CourseError(f"{path}: {error.strerror}; run 'autograder build'") from None
        return self.sources[assignment, lesson]

    def _look_up(self, one: _Waiting) -> None:
        """Take what an earlier run executed: recorded then, or left in the store by one that was interrupted."""
        for lesson, key in one.keys.items():
            known = None if self.again else self._known(one, lesson, key)
            if known is not None:
                self._accept(one, lesson, known)

    def _known(self, one: _Waiting, lesson: str, key: str) -> NotebookNode | None:
        return self.store.get(key) or self.recorder.executed(one.submission, lesson, key)

    def _accept(self, one: _Waiting, lesson: str, executed: NotebookNode) -> None:
        one.submission.notebooks[lesson] = executed
        one.submission.flags += [Flag(**flag) for flag in executed.metadata["autograder"]["flags"]]
        one.left.discard(lesson)

    def _record(self, one: _Waiting) -> Graded:
        graded = self.recorder.record(one.submission)
        self._forget(one)  # from here on the autograded notebook holds it
        return graded

    def _forget(self, one: _Waiting) -> None:
        for key in one.keys.values():
            self.store.drop(key)

    # ------------------------------------------------------------ execute

    def _executed(self, waiting: list[_Waiting], executor: Executor) -> Iterator[_Waiting]:
        """Each submission as soon as its last notebook is back."""
        references = self._references(executor, waiting)
        running: dict[Future[NotebookNode], tuple[_Waiting, str]] = {}
        for one in waiting:
            for lesson in sorted(one.left):
                notebook, reference = one.submission.notebooks[lesson], references[one.submission.assignment, lesson]
                running[executor.submit(execute, notebook, self.settings, reference, lesson)] = one, lesson
        for future in as_completed(list(running)):
            one, lesson = running.pop(future)
            self._take(one, lesson, future)
            if not one.left:
                yield one

    def _references(self, executor: Executor, waiting: list[_Waiting]) -> dict[tuple[str, str], Reference]:
        """What the tests of the lessons report with the reference in place, each from two runs."""
        needed = sorted({(one.submission.assignment, lesson) for one in waiting for lesson in one.left})
        sources = {name: nbformat.reads(self._source(*name).decode(), as_version=4) for name in needed}
        runs = {
            name: [
                executor.submit(run_reference, sources[name], self.settings, elsewhere) for elsewhere in (False, True)
            ]
            for name in needed
        }
        references = {}
        for name, (one, other) in runs.items():
            try:
                references[name] = make_reference(sources[name], one.result(), other.result())
            except LessonError as error:
                raise CourseError(f"{'/'.join(name)}: the lesson itself is broken: {error}") from None
            except BrokenExecutor as error:
                raise CourseError(f"the workers are gone ({error}); start them and run it again") from None
        return references

    def _take(self, one: _Waiting, lesson: str, future: Future[NotebookNode]) -> None:
        submission, key = one.submission, one.keys[lesson]
        try:
            executed = future.result()
        except Exception as error:  # the machinery failed; what ran nowhere earns nothing, and a person is told
            reason = f"could not be executed ({type(error).__name__}: {_first_line(error)})"
            submission.flags.append(Flag("problem", f"{lesson}.ipynb", reason))
            say_why(submission.notebooks[lesson], f"{lesson}.ipynb was not graded: it {reason}.")
            one.left.discard(lesson)
            return
        if self.again and (before := self.recorder.executed(submission, lesson, key)) is not None:
            _flag_what_differs(lesson, before, executed)
        executed.metadata["autograder"]["key"] = key
        self.store.put(key, executed)
        self._accept(one, lesson, executed)


def _flag_what_differs(lesson: str, before: NotebookNode, now: NotebookNode) -> None:
    was = {grade_id(cell): _verdict(cell) for cell in before.cells}
    for index, cell in enumerate(now.cells):
        name = grade_id(cell)
        if name.startswith("test_") and was.get(name) != _verdict(cell):
            reason = f"{exercise_of(name)} passes in one run and not in another"
            flag = {"kind": "flaky", "where": f"{lesson}.ipynb, cell {index + 1}", "reason": reason}
            now.metadata["autograder"]["flags"].append(flag)


def _verdict(cell: NotebookNode) -> tuple[object, object]:
    said = cell.metadata.get("autograder", {})
    return said.get("credit"), said.get("carried")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def settings_for(course: Course, seed: int | None, **others: object) -> Settings:
    """Settings with the course's own seed unless one is given."""
    return replace(Settings(Store(course).seed() if seed is None else seed), **others)  # type: ignore[arg-type]
