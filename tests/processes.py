"""`autograder grade` as a command, and the processes that it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autograder.course import Course

SECONDS = 120  # that anything may take on a machine with other things to do


@dataclass
class Command:
    """`autograder grade` on a course, in a process of its own that has `scratch` for its /tmp."""

    course: Course
    scratch: Path
    options: tuple[str, ...] = ()

    def start(self) -> subprocess.Popen[str]:
        self.scratch.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "autograder", "grade", "--course", str(self.course.root), *self.options]
        environment = os.environ | {"TMPDIR": str(self.scratch), "COLUMNS": "200"}
        return subprocess.Popen(
            command,
            env=environment,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_interrupts,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self) -> str:
        """To its end; returns what it said."""
        process = self.start()
        said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
        return said

    def begin(self) -> subprocess.Popen[str]:
        """Start it and wait until it holds the course."""
        process, lock = self.start(), self.course.root / ".autograder" / "lock"
        until(lambda: (lock.exists() and lock.read_text() == str(process.pid)) or process.poll() is not None)
        assert process.poll() is None, process.communicate()[0]
        return process

    def kill(self, instant: float) -> None:
        """Kill it `instant` seconds after its start, and wait until all that it had started is gone, too."""
        process = self.start()
        time.sleep(instant)
        started = descendants(process.pid)
        process.kill()
        process.communicate()
        until(lambda: not alive(started))


def _hear_interrupts() -> None:
    """What a shell starts in the background ignores them, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


Process = tuple[int, str]  # pid and start time, because a pid is used again


def descendants(pid: int) -> set[Process]:
    """All that a process has started, directly or not, and that is there still."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = _stat(path)
            parents[int(path.parent.name), fields[19]] = int(fields[1])
    found: set[Process] = set()
    new = {pid}
    while new:
        born = {child for child, parent in parents.items() if parent in new} - found
        found |= born
        new = {child for child, _ in born}
    return found


def alive(processes: set[Process]) -> set[Process]:
    """Those that have not ended."""
    found = set()
    for pid, born in processes:
        with contextlib.suppress(OSError):
            fields = _stat(Path(f"/proc/{pid}/stat"))
            if fields[19] == born and fields[0] != "Z":
                found.add((pid, born))
    return found


def _stat(path: Path) -> list[str]:
    """From the state on: what stands before it, a program's name, may hold anything."""
    return path.read_text().rpartition(") ")[2].split()
