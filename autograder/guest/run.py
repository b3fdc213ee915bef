"""One submission in its own process: cells come in, what became of them goes out."""

from __future__ import annotations

import importlib.util
import linecache
import os
import random
import signal
import socket
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.pyplot import close as close_figures

from autograder.guest.guard import Libraries, Watch
from autograder.guest.messages import receive, send
from autograder.guest.shell import Captured, Outputs, Shell, words_of
from autograder.guest.transcript import Transcript

AGAIN_SECONDS = 0.5  # between two interrupts of a cell that swallowed the first


class CellTimeout(BaseException):
    """The cell has had its time. No Exception, so that `except Exception` does not swallow it."""


class Run:
    """The state of one submission. What it holds is reachable from no name that an answer can look up."""

    def __init__(self, shell: Shell, outputs: Outputs, libraries: Libraries, start: dict[str, Any]) -> None:
        self.shell, self.outputs, self.libraries = shell, outputs, libraries
        self.seed: int = start["seed"]
        self.own = frozenset(start["own"])  # names that answers are there to define
        self.defences = frozenset(start["defences"])
        # Objects of the sizes that lessons make, kept: what comes later lies elsewhere than without them.
        crowd = random.SystemRandom().randrange(3000, 9000) if start.get("elsewhere") else 0
        self._crowd = [(torch.empty(k % 5), {k: k}, object(), [k], np.empty(k % 5)) for k in range(crowd)]
        self.given: dict[str, Any] = {}  # what given cells have bound
        self.notes: list[tuple[str, str]] = []
        self.checks = _compiled_checks()
        self.watch = Watch(_library_paths(), self._note)
        self.state = _State()
        if "watch" in self.defences:
            self.watch.install()

    def _note(self, kind: str, reason: str) -> None:
        if len(self.notes) < 100 and (kind, reason) not in self.notes:
            self.notes.append((kind, reason))

    def cell(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Run a cell and tell what became of it."""
        begun = time.monotonic()
        work = {"given": self._given, "answer": self._answer, "test": self._test}[cell["kind"]]
        records: list[dict[str, Any]] = []
        with Captured(self.outputs):
            said = work(cell, records)
        seconds = time.monotonic() - begun
        if cell["kind"] != "answer":
            close_figures("all")  # or the next answer would show them
        notes, self.notes = self.notes, []
        return said | {"seconds": seconds, "outputs": self.outputs.taken(), "records": records, "notes": notes}

    # ------------------------------------------------------------ the three kinds of cell

    def _answer(self, cell: dict[str, Any], _: list[Any]) -> dict[str, Any]:
        result = None
        with _alarm(cell["seconds"]):
            result = self.shell.run_cell(cell["source"], store_history=True)
        if result is None:
            return {"status": "timeout"}
        error = result.error_before_exec or result.error_in_exec
        return _ended(error, words_of(error)) if error is not None else {"status": "ok"}

    def _given(self, cell: dict[str, Any], _: list[Any]) -> dict[str, Any]:
        self._restart_generators(cell["index"])
        space = self.shell.user_ns
        before = dict(space)
        error = self._execute(cell, space)
        self.given |= {
            name: value
            for name, value in space.items()
            if not name.startswith("_") and name not in self.own and before.get(name, _NOTHING) is not value
        }
        self.state.remember()
        return {"status": "ok"} if error is None else _ended(error, self._explained(error))

    def _test(self, cell: dict[str, Any], records: list[Any]) -> dict[str, Any]:
        """In a namespace of the test's own, with the given names as they were given, and with fresh checks."""
        changed = self.libraries.undo_changes() if "libraries" in self.defences else []
        if changed:
            self._note("tampering", f"replaced {_listed(changed)}")
        if self.state.restore():
            self._note("suspicious", "left a mode of torch in force, which changes what its functions do")
        self._restart_generators(cell["index"])
        os.environ["LLMSYS_SEED"] = str(self.seed)
        check = self._fresh_checks(records)
        space = self.shell.user_ns
        given = {n: check if getattr(v, "__name__", "") == "llmsys.check" else v for n, v in self.given.items()}
        aside = dict(space)
        if redefined := [n for n, v in given.items() if isinstance(v, _MADE) and space.get(n, v) is not v]:
            self._note("suspicious", f"defines {_listed(redefined)}, which the lesson gives")
        if "names" in self.defences:
            space.update(given)
            names = dict(space)
        else:
            space.update({name: value for name, value in given.items() if value is check})
            names = space
        error = self._execute(cell, names)
        if "names" in self.defences:
            self._leave_test(aside, given, names, cell["exports"])
            if lost := [n for n, v in given.items() if names.get(n) is not v and n not in cell["binds"]]:
                self._note("tampering", f"replaced {_listed(lost)} in the names of a running test")
        changed = self.libraries.undo_changes() if "libraries" in self.defences else []
        if changed:
            self._note("tampering", f"replaced {_listed(changed)} while a test ran")
            return {"status": "error", "ename": "Tampering", "evalue": f"{_listed(changed)} was replaced meanwhile"}
        if error is None:
            return {"status": "ok"}
        if isinstance(error, check.CheckFailed):
            return {"status": "error", "ename": "CheckFailed", "evalue": words_of(error)}
        return _ended(error, self._explained(error))

    def _leave_test(self, aside: dict[str, Any], given: dict[str, Any], names: dict[str, Any], exports: Any) -> None:
        """The answer's own names come back; of the test's, only those of its visible part stay."""
        space = self.shell.user_ns
        for name, value in given.items():
            if space.get(name) is value:
                if name in aside:
                    space[name] = aside[name]
                else:
                    del space[name]
        space.update({name: names[name] for name in exports if name in names})

    # ------------------------------------------------------------ helpers

    def _execute(self, cell: dict[str, Any], space: dict[str, Any]) -> BaseException | None:
        """Run trusted source, and return what it raised."""
        source, filename = cell["source"], f"<{cell['kind']} {cell['name']}>"
        code = compile(source, filename, "exec", dont_inherit=True)
        self.watch.trust(code)
        if cell["kind"] == "given":  # for `inspect.getsource`; a test's text is nobody's to read
            linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        try:
            with _alarm(cell["seconds"], swallow=False):
                exec(code, space)
        except BaseException as error:
            return error
        return None

    def _fresh_checks(self, records: list[Any]) -> Any:
        """The module of checks as it was installed, whatever became of the one that answers can import."""
        module: Any = types.ModuleType("llmsys.check")
        exec(self.checks, module.__dict__)
        module.answers = self.shell.user_ns
        if "transcript" in self.defences:
            module.observer = Transcript(records, self.watch.ours, self.checks).observer()
        return module

    def _restart_generators(self, index: int) -> None:
        """Every generator of random numbers starts anew in every cell of ours, whatever an answer drew from it."""
        random.seed(f"{self.seed} {index}")
        np.random.seed(np.random.SeedSequence([self.seed, index]).generate_state(4))
        torch.manual_seed(self.seed + index)
        for number, value in enumerate(self.given.values()):
            fresh = np.random.SeedSequence([self.seed, index, number])
            if isinstance(value, np.random.Generator):
                value.bit_generator.state = type(value.bit_generator)(fresh).state
            elif isinstance(value, torch.Generator):
                value.manual_seed(int(fresh.generate_state(1)[0]))

    def _explained(self, error: BaseException) -> str:
        """An exception's words, and where in the answer it came from."""
        line = ""
        traceback = error.__traceback__
        while traceback is not None:
            code = traceback.tb_frame.f_code
            if "ipython-input" in code.co_filename or "ipykernel" in code.co_filename:
                text = linecache.getline(code.co_filename, traceback.tb_lineno).strip()
                line = f"\n  in {code.co_name}, line {traceback.tb_lineno} of its cell: {text[:200]}"
            traceback = traceback.tb_next
        return words_of(error, 500) + line


_NOTHING = object()
_MADE = (types.FunctionType, type)


def _ended(error: Any, words: str) -> dict[str, Any]:
    if isinstance(error, CellTimeout) or error is CellTimeout:
        return {"status": "timeout"}
    kind = error if isinstance(error, type) else type(error)
    return {"status": "error", "ename": str(kind.__name__)[:100], "evalue": words}


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class _alarm:
    """Raises `CellTimeout` in the main thread after so many seconds, and again where that was swallowed."""

    def __init__(self, seconds: float, swallow: bool = True) -> None:
        self._seconds, self._swallow = seconds, swallow

    def __enter__(self) -> None:
        def ring(*_: object) -> None:
            raise CellTimeout

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds, AGAIN_SECONDS)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self._swallow and kind is CellTimeout


class _State:
    """What a cell may set for the whole process: as the given cells left it, again before every test."""

    def __init__(self) -> None:
        self.remember()

    def remember(self) -> None:
        self._dtype, self._threads = torch.get_default_dtype(), torch.get_num_threads()
        self._recursion, self._place = sys.getrecursionlimit(), os.getcwd()
        self._warnings = list(warnings.filters)
        self._gradients, self._errors = torch.is_grad_enabled(), np.geterr()

    def restore(self) -> bool:
        """Whether there were modes of torch to take off."""
        modes = 0
        while torch.overrides._get_current_function_mode_stack():
            torch._C._pop_torch_function_stack()
            modes += 1
        while torch.utils._python_dispatch._get_current_dispatch_mode_stack():
            torch.utils._python_dispatch._pop_mode()
            modes += 1
        torch.set_default_dtype(self._dtype)
        torch.set_default_device(None)
        torch.set_grad_enabled(self._gradients)
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        np.seterr(**self._errors)
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        os.chdir(self._place)
        warnings.filters[:] = self._warnings  # type: ignore[index]
        return modes > 0


def _compiled_checks() -> types.CodeType:
    spec = importlib.util.find_spec("llmsys.check")
    assert spec is not None
    assert spec.origin is not None
    return compile(Path(spec.origin).read_text(encoding="utf-8"), spec.origin, "exec", dont_inherit=True)


def _library_paths() -> tuple[str, ...]:
    places = {sys.prefix, sys.base_prefix, str(Path(os.__file__).parent), str(Path(torch.__file__).parents[1])}
    places |= {str(Path(sys.modules[name].__file__ or "").parent) for name in ("llmsys", "autograder.guest")}
    return tuple(f"{place}/" for place in sorted(places))


def serve(channel: socket.socket, shell: Shell, outputs: Outputs, libraries: Libraries) -> None:
    """Answer the grader until it hangs up."""
    pid = os.getpid()
    run = Run(shell, outputs, libraries, receive(channel))
    _hide_own_modules()
    reply: Callable[..., None] = send
    ask: Callable[..., dict[str, Any]] = receive
    leave, whoami = os._exit, os.getpid
    while True:
        try:
            cell = ask(channel)
        except EOFError:
            return
        said = run.cell(cell)
        if whoami() != pid:  # a fork that an answer made and that came back here
            leave(0)
        reply(channel, said | {"nonce": cell["nonce"]})


def _hide_own_modules() -> None:
    for name in [name for name in sys.modules if name.startswith("autograder")]:
        del sys.modules[name]
