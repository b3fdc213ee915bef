"""A look at answers without running them: what no answer needs, for a person to look at.

Nothing is refused here. A sandbox and the judge hold whether or not this finds anything; but a name such as `ctypes`
in an answer is worth a minute of an instructor's time.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from nbformat import NotebookNode

from autograder.cells import kind_of, runs_when_grading

_MODULES = {
    "ctypes": "native memory",
    "cffi": "native memory",
    "faulthandler": "other frames",
    "ipykernel": "the shell",
    "IPython.core": "the shell",
    "multiprocessing": "processes",
    "nbgrader": "the grader",
    "autograder": "the grader",
    "pty": "processes",
    "signal": "signals",
    "socket": "the network",
    "subprocess": "processes",
    "urllib.request": "the network",
    "requests": "the network",
    "http": "the network",
}
_ATTRIBUTES = {
    "__closure__": "another function's insides",
    "__code__": "another function's insides",
    "__defaults__": "another function's insides",
    "__globals__": "another function's insides",
    "__kwdefaults__": "another function's insides",
    "cell_contents": "another function's insides",
    "_getframe": "other frames",
    "_current_frames": "other frames",
    "addaudithook": "the interpreter",
    "ast_transformers": "the shell",
    "currentframe": "other frames",
    "cr_frame": "other frames",
    "displayhook": "the shell",
    "do_execute": "the shell",
    "f_back": "other frames",
    "f_globals": "other frames",
    "f_locals": "other frames",
    "fork": "processes",
    "get_objects": "the garbage collector",
    "get_referrers": "the garbage collector",
    "get_referents": "the garbage collector",
    "gi_frame": "other frames",
    "input_transformers_cleanup": "the shell",
    "input_transformers_post": "the shell",
    "kill": "processes",
    "meta_path": "imports",
    "run_cell": "the shell",
    "setprofile": "tracing",
    "settrace": "tracing",
    "system": "processes",
    "tb_frame": "other frames",
    "_exit": "processes",
    "user_ns": "the shell",
    "__subclasses__": "every class of the interpreter",
}
_CALLS = {
    "compile": "code made while running",
    "eval": "code made while running",
    "exec": "code made while running",
    "get_ipython": "the shell",
    "breakpoint": "the debugger",
    "input": "the keyboard",
}
_LIBRARIES = frozenset(
    {"F", "builtins", "check", "copy", "functools", "llmsys", "math", "nn", "np", "numpy", "operator", "os", "random"}
    | {"sys", "time", "torch"}
)
_SETTINGS = frozenset({"options", "backends", "rcParams"})  # libraries' own switches, set by assignment


@dataclass(frozen=True)
class Finding:
    """In the notebook's cell `index` (from 0), with the line (from 1) in the reason."""

    index: int
    reason: str


def review(notebook: NotebookNode) -> list[Finding]:
    """What answers and a student's own cells reach for that no answer needs."""
    found = []
    for index, cell in enumerate(notebook.cells):
        if runs_when_grading(cell) and kind_of(cell) in ("answer", "own"):
            found += [Finding(index, reason) for reason in dict.fromkeys(_reasons(cell.source))]
    return found


def _reasons(source: str) -> Iterator[str]:
    for number, line in enumerate(source.splitlines(), 1):
        if line.lstrip().startswith(("!", "%%bash", "%%sh", "%%script", "%sx", "%system")):
            yield f"line {number}: reaches for processes (a line for the system's shell)"
    try:
        tree = ast.parse(_without_magics(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # it will say so itself when it runs
    for node in ast.walk(tree):
        if what := _reaches_for(node):
            yield f"line {getattr(node, 'lineno', '?')}: reaches for {what}"


def _without_magics(source: str) -> str:
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in source.splitlines())


def _reaches_for(node: ast.AST) -> str:
    match node:
        case ast.Import(names=names):
            return next((_describe(_module(alias.name), alias.name) for alias in names if _module(alias.name)), "")
        case ast.ImportFrom(module=str(module)):
            return _describe(_module(module), module)
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            return _describe(_CALLS[name], name)
        case ast.Attribute(attr=name) if _ATTRIBUTES.get(name):
            return _describe(_ATTRIBUTES[name], name)
        case ast.Attribute(value=target, attr=name, ctx=ast.Store() | ast.Del()):
            return _rebinding(target, name)
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[target, *_]):
            return _rebinding(target, "...")
        case ast.Call(func=ast.Name(id="__import__")):
            return "imports (__import__)"
        case ast.Name(id="__builtins__" | "__loader__" | "__spec__" as name):
            return f"the interpreter ({name})"
    return ""


def _module(name: str) -> str:
    """What importing it reaches for; the name itself or a package that it lies in."""
    parts = name.split(".")
    return next((_MODULES[k] for n in range(len(parts), 0, -1) if (k := ".".join(parts[:n])) in _MODULES), "")


def _describe(what: str, name: str) -> str:
    return f"{what} ({name})" if what else ""


def _rebinding(target: ast.expr, name: str) -> str:
    root: ast.expr = target
    names = [name]
    while isinstance(root, ast.Attribute):
        names.append(root.attr)
        root = root.value
    if isinstance(root, ast.Name) and root.id in _LIBRARIES and not _SETTINGS & {*names}:
        return f"a library's name ({'.'.join([root.id, *reversed(names)])})"
    return ""
