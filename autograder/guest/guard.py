"""What an answer may not touch while it shares a process with its test.

An answer and its test run in one interpreter, because tests look at objects: nodes, closures, what a graph holds. The
verdict is formed elsewhere (`autograder.judge`); these guards keep what the test reports what the test saw.

`Libraries` notices, and undoes, that a function of a library was replaced. `Watch` is an audit hook (PEP 578), which
no Python code can remove: it refuses an answer the ways to the test's frames, to every object of the interpreter, to
the code of functions that are not its own and to native memory; and it notes attempts to leave the sandbox.
"""

from __future__ import annotations

import builtins
import operator
import sys
import threading
import types
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch

_GUARDED = (
    "builtins",
    "cmath",
    "collections",
    "contextlib",
    "copy",
    "functools",
    "itertools",
    "llmsys",
    "math",
    "numbers",
    "numpy",
    "operator",
    "random",
    "torch",
    "types",
    "unittest",
    "weakref",
)
# Parts that no test computes with: more than half of all names, which would take as long to look at as the rest.
_APART = frozenset(
    f"torch.{part}"
    for part in [
        "_decomp",
        "_dynamo",
        "_export",
        "_guards",
        "_higher_order_ops",
        "_inductor",
        "_library",
        "_logging",
        "_meta_registrations",
        "_prims",
        "_prims_common",
        "_refs",
        "_subclasses",
        "ao",
        "compiler",
        "cuda",
        "distributed",
        "export",
        "fx",
        "jit",
        "nested",
        "onnx",
        "package",
        "profiler",
        "quantization",
        "xpu",
    ]
) | {"numpy.ma"}
_CALLABLE = (
    types.FunctionType,
    types.BuiltinFunctionType,
    type,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)
_MEMBERS = (*_CALLABLE, classmethod, staticmethod, property, types.GetSetDescriptorType)
_EQUALITY = frozenset({"__bool__", "__class__", "__eq__", "__getattribute__", "__hash__", "__ne__"})


class Libraries:
    """The functions and classes of the libraries as they were before any answer ran."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._all = _AllKept([])
        seen: set[int] = set()
        for name, module in sorted(sys.modules.items()):
            if _guarded(name) and isinstance(module, types.ModuleType):
                self._keep(module, _CALLABLE, seen)
        self._all = _AllKept(self._kept)

    def _keep(self, owner: Any, kinds: tuple[type, ...], seen: set[int]) -> None:
        if id(owner) in seen:
            return
        seen.add(id(owner))
        members = vars(owner)
        kept = {name: value for name, value in members.items() if isinstance(value, kinds)}
        # Names that would hide others if they were added: a module's own `abs`, a tensor's own `__eq__`.
        hiding = _BUILTINS if not isinstance(owner, type) else _EQUALITY if owner is torch.Tensor else frozenset()
        self._kept.append(_Kept(owner, members, tuple(kept), tuple(kept.values()), hiding.difference(members)))
        for value in kept.values():
            if isinstance(value, type) and value.__flags__ & _CAN_BE_CHANGED and _guarded(value.__module__):
                self._keep(value, _MEMBERS, seen)

    def undo_changes(self) -> list[str]:
        """Put back what was replaced, take out what hides others, and return the names of both."""
        if self._all.untouched():
            return []
        return [name for kept in self._kept for name in kept.undo()]


class _Kept(NamedTuple):
    """The callables that a module or class held, and names that it did not."""

    owner: Any
    members: Any
    names: tuple[str, ...]
    values: tuple[Any, ...]
    absent: frozenset[str]

    def undo(self) -> list[str]:
        changed = []
        for name, value in zip(self.names, self.values, strict=True):
            if self.members.get(name) is not value:
                changed.append(f"{_name(self.owner)}.{name}")
                _set(self.owner, name, value)
        for name in self.absent.intersection(self.members):
            changed.append(f"{_name(self.owner)}.{name}")
            _unset(self.owner, name)
        return changed


class _AllKept:
    """Whether anything was touched: asked before and after every test of some twenty thousand names, so in C alone."""

    def __init__(self, kept: list[_Kept]) -> None:
        self._get = [one.members.get for one in kept for _ in one.names]
        self._names = [name for one in kept for name in one.names]
        self._values = [value for one in kept for value in one.values]
        self._apart = [one.absent.isdisjoint for one in kept if one.absent]
        self._members = [one.members for one in kept if one.absent]

    def untouched(self, same: Any = operator.is_, call: Any = operator.call, each: Any = all, pairs: Any = map) -> bool:
        """By identity, because a value's `==` may lie; with functions of its own, because `builtins` may be changed."""
        return each(pairs(same, pairs(call, self._get, self._names), self._values)) and each(
            pairs(call, self._apart, self._members)
        )


_CAN_BE_CHANGED = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def _guarded(module: Any) -> bool:
    if not isinstance(module, str):
        return False
    package, _, rest = module.partition(".")
    return package in _GUARDED and f"{package}.{rest.partition('.')[0]}" not in _APART


_BUILTINS = frozenset(name for name in vars(builtins) if not name.startswith("_"))


def _name(owner: Any) -> str:
    return f"{owner.__module__}.{owner.__qualname__}" if isinstance(owner, type) else str(owner.__name__)


def _set(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, type):
        type.__setattr__(owner, name, value)
    else:
        vars(owner)[name] = value


def _unset(owner: Any, name: str) -> None:
    if isinstance(owner, type):
        type.__delattr__(owner, name)
    else:
        del vars(owner)[name]


# ---------------------------------------------------------------- the audit hook

_FRAMES = {"tb_frame", "gi_frame", "cr_frame", "ag_frame"}
_OF_A_FUNCTION = {"__code__", "__defaults__", "__kwdefaults__"}
_REFUSED = {
    "code.__new__": "building code objects",
    "gc.get_objects": "listing the interpreter's objects",
    "gc.get_referents": "listing the interpreter's objects",
    "gc.get_referrers": "listing the interpreter's objects",
    "sys._current_exceptions": "reading other frames",
    "sys._current_frames": "reading other frames",
    "sys._getframe": "reading other frames",
    "sys.addaudithook": "audit hooks",
    "sys.setprofile": "tracing",
    "sys.settrace": "tracing",
}
_NOTED = {
    "os.exec": "starts a program",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.kill": "sends a signal",
    "os.posix_spawn": "starts a program",
    "os.system": "starts a program",
    "pty.spawn": "starts a program",
    "socket.bind": "opens a socket",
    "socket.connect": "opens a socket",
    "socket.getaddrinfo": "opens a socket",
    "subprocess.Popen": "starts a program",
}
_PRIVATE_PLACES = ("/etc", "/home", "/proc", "/root", "/sys", "/work", "/opt/course")
# Library modules that hand out what an answer may not have itself, or that stand in for a builtin (IPython's `open`).
_GO_BETWEENS = ("IPython", "bdb", "ctypes", "inspect", "logging", "pdb", "threading", "traceback")


class Watch:
    """An audit hook over what runs in this process, from `install` on."""

    def __init__(self, libraries: Collection[str], note: Callable[[str, str], None]) -> None:
        """`libraries`: path prefixes of code that is no answer. `note(kind, reason)` is told of every attempt."""
        self.ours: dict[int, Any] = {}  # id -> code object of a given cell or a test
        self._libraries = tuple(libraries)
        self._note = note

    def trust(self, code: types.CodeType) -> None:
        """`code`, and the functions within it, is ours."""
        self.ours[id(code)] = code
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.trust(constant)

    def install(self) -> None:
        """From here on, for the rest of the process."""
        note, is_answer, acts_for = self._note, self._is_answer, self._acts_for_an_answer
        getframe, stop = sys._getframe, RuntimeError
        busy = threading.local()

        def hook(event: str, args: tuple[Any, ...]) -> None:
            if event == "builtins.id" or (event not in _HANDLED and not event.startswith("ctypes.")):  # often: id
                return
            if getattr(busy, "now", False):
                return
            busy.now = True
            try:
                frame = getframe(1)
                direct = is_answer(frame.f_code)
                if not (direct or acts_for(frame)):
                    return
                what = _refusal(event, args, is_answer, self._libraries)
                if what:
                    note("tampering", what)
                    raise stop(f"{what} is not available to answers while they are graded")
                if event in _NOTED:
                    note("suspicious", _NOTED[event])
                elif event == "open" and _is_private(args[0], self._libraries):
                    note("suspicious", f"opens {args[0]!s:.100}")
            finally:
                busy.now = False

        sys.addaudithook(hook)

    def _is_answer(self, code: types.CodeType) -> bool:
        name = code.co_filename
        return not (id(code) in self.ours or name.startswith(self._libraries) or name.startswith("<frozen "))

    def _acts_for_an_answer(self, frame: types.FrameType) -> bool:
        module = str(frame.f_globals.get("__name__", "")).split(".")[0]
        back = frame.f_back
        return module in _GO_BETWEENS and back is not None and self._is_answer(back.f_code)


_HANDLED = {*_REFUSED, *_NOTED, "compile", "object.__getattr__", "object.__setattr__", "open"}


def _refusal(event: str, args: tuple[Any, ...], is_answer: Callable[..., bool], libraries: tuple[str, ...]) -> str:
    """What is refused about `event`, or ""."""
    if event in _REFUSED:
        return _REFUSED[event]
    if event.startswith("ctypes."):
        return "native memory"
    if event == "object.__getattr__" and args[1] in _FRAMES:
        return "reading other frames"
    if event == "object.__setattr__" and args[1] in _OF_A_FUNCTION and not is_answer(args[0].__code__):
        return "changing another function's code"
    if event == "compile" and str(args[1]).startswith((*libraries, "<frozen ")):
        return "code in a library's name"
    return ""


def _is_private(path: Any, libraries: tuple[str, ...]) -> bool:
    text = path.decode(errors="replace") if isinstance(path, bytes) else path
    if not isinstance(text, str):
        return False
    return "/../" in text or (text.startswith(_PRIVATE_PLACES) and not text.startswith(libraries))
