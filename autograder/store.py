"""What has been executed and is not yet recorded: results by a hash of everything that they depend on.

With the keys of what is recorded (see `autograder.record`) it makes a run that was interrupted go on where it stopped.
A result is written in one step (a new file that takes the old one's name), so whatever ends the grader at whatever
instant, a result is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import platform
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import llmsys
from autograder.course import Course, CourseError
from autograder.execute import Settings

_DECIDES = ("carry", "cells", "execute", "judge", "passes", "reference", "review", "sandbox", "withhold")


class Store:
    """The grader's own folder in a course directory: results, the seed, a log, and a lock for one grader at a time."""

    def __init__(self, course: Course) -> None:
        self.root = course.root / ".autograder"

    # ------------------------------------------------------------ results

    def get(self, key: str) -> NotebookNode | None:
        """The executed notebook under `key`; None where there is none, or none that can be read."""
        with contextlib.suppress(OSError, ValueError):
            return nbformat.from_dict(json.loads(self._result(key).read_text(encoding="utf-8")))
        return None

    def put(self, key: str, notebook: NotebookNode) -> None:
        """Keep the executed notebook.

        Raises:
            CourseError: it can't be written.
        """
        try:
            write_in_one_step(self._result(key), json.dumps(notebook, ensure_ascii=True, separators=(",", ":")))
        except OSError as error:
            raise CourseError(f"{self.root}: can't be written ({error.strerror}); make room and run it again") from None

    def drop(self, key: str) -> None:
        """Forget a result that is recorded."""
        self._result(key).unlink(missing_ok=True)

    def _result(self, key: str) -> Path:
        return self.root / "results" / f"{key}.json"

    # ------------------------------------------------------------ the course's seed

    def seed(self) -> int:
        """Drawn once for a course and kept: grading again gives the same grades, and nobody can have known it."""
        path = self.root / "seed"
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
        drawn = secrets.randbits(31)
        write_in_one_step(path, f"{drawn}\n")
        return drawn

    # ------------------------------------------------------------ one grader, and what it did

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the course for one grader.

        Raises:
            CourseError: another one has it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / "lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                who = file.read().strip() or "unknown"
                raise CourseError(f"{self.root.parent}: is being graded (process {who}); wait, or stop it") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            for half in (self.root / "results").glob(".new-*"):  # of a grader that was killed while it wrote
                half.unlink()
            yield

    def log(self, **entry: Any) -> None:
        """Add a line to the log of grading runs, ``.autograder/log.jsonl``."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds")} | entry)
        with open(self.root / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")


def key_of(notebook: NotebookNode, source: bytes, settings: Settings) -> str:
    """A hash of all that an executed notebook depends on: submission, lesson, settings, environment and grader."""
    parts = [
        json.dumps(notebook, sort_keys=True).encode("utf-8", "surrogatepass"),
        source,
        json.dumps(_plain(settings), sort_keys=True).encode(),
        environment().encode(),
    ]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _plain(settings: Settings) -> Any:
    """Equal settings look alike: 30 s are 30.0 s, and a set has no order."""
    return json.loads(json.dumps(asdict(settings), default=sorted), parse_int=float)


@functools.cache
def environment() -> str:
    """A hash of what runs answers and judges them: Python, the libraries, `llmsys` and the grader."""
    versions: Mapping[str, str] = {name: version(name) for name in ("torch", "numpy", "ipython", "nbgrader")}
    digest = hashlib.sha256(json.dumps([platform.python_version(), versions]).encode())
    here, course = Path(__file__).parent, Path(llmsys.__file__).parent
    for place in [*(here / f"{name}.py" for name in _DECIDES), here / "guest", course]:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def write_in_one_step(path: Path, text: str) -> None:
    """Write a file that nobody ever sees half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
