"""Checks: assertions whose failure message teaches.

A test cell is a list of checks. Each one names the call it looked at, shows what came out and what should have,
points at the first place where the two differ and, where it can, names the misconception that gives just this
wrong answer. Works on numbers, nested lists, NumPy arrays and PyTorch tensors.

    check.close(softmax(x), expected, "softmax(x)", terms=x.shape[-1],
                likely={"the maximum was not subtracted": wrong})

Floating-point tolerance is not guessed but derived: ``eps * (8 + terms) * scale``, where `eps` is that of the expected
value's dtype (of the answer's own, where plain numbers are expected), `terms` the number of terms that are summed into
one entry, and `scale` the largest expected magnitude: the standard forward error bound of a sum (Higham, *Accuracy and
Stability of Numerical Algorithms*, 4.2) with a few operations around it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "CheckFailed",
    "calls",
    "close",
    "credit",
    "equal",
    "forbid",
    "passed",
    "raises",
    "rng",
    "seed",
    "that",
    "unchanged",
    "using",
]


class CheckFailed(AssertionError):
    """A check that did not hold. Jupyter shows its message alone, without the stack that led to it."""

    def _render_traceback_(self) -> list[str]:
        return [f"\x1b[31mCheckFailed\x1b[0m: {self}"]


def _let_warnings_be() -> None:
    """While nbgrader grades or validates, show stderr as stdout: nbgrader counts any line on stderr as a failed test,
    so a warning or a progress bar would cost all points."""
    if os.environ.get("NBGRADER_EXECUTION") in ("autograde", "validate") and hasattr(sys.stderr, "name"):
        with contextlib.suppress(AttributeError):  # a plain file's name can't be set, and need not be
            sys.stderr.name = "stdout"  # type: ignore[misc]


_let_warnings_be()

# A grader that wants to see for itself what each check looked at puts a function here: (kind, call, *values, **how).
observer: Callable[..., None] | None = None


def _observe(kind: str, call: str, *values: Any, **how: Any) -> None:
    if observer is not None:
        observer(kind, call, *values, **how)


_count, _counted_in = 0, None  # checks passed, and the cell's execution count while they did


def _hold(condition: bool, message: str) -> None:
    global _count
    if not condition:
        raise CheckFailed(message)
    _begin_cell()
    _count += 1


def _begin_cell() -> None:
    """Start counting anew in every cell, also after one that ended in an error."""
    global _count, _counted_in
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    cell = shell.execution_count if shell else None
    if cell != _counted_in:
        _count, _counted_in = 0, cell


def passed(exercise: str) -> None:
    """Say how many checks the test cell of `exercise` has passed. The build puts this at the end of every test cell."""
    global _count
    _begin_cell()
    print(f"{exercise}: {_count} check{'s' * (_count != 1)} passed.")
    _count = 0


def credit(share: float) -> None:
    """What has passed up to here earns `share` of the exercise's points, whatever fails below.

    Under stock nbgrader, which knows no such thing, a test that fails earns nothing.

    Args:
        share: above 0 and below 1, more than any `credit` before it in the cell.
    """
    if not 0 < share < 1:
        raise ValueError(f"check.credit({share}): a share of the points lies between 0 and 1")
    _observe("credit", "", float(share))


# ---------------------------------------------------------------- randomness


@functools.cache
def seed() -> int:
    """The seed of this run: ``LLMSYS_SEED`` if set (a grade can be reproduced), else drawn afresh."""
    return int(os.environ.get("LLMSYS_SEED") or secrets.randbits(31))


def rng(stream: int = 0) -> np.random.Generator:
    """A NumPy generator for test inputs: other values in every run, so that none can be memorised."""
    return np.random.default_rng([seed(), stream])


# ---------------------------------------------------------------- values


def that(condition: Any, message: str) -> None:
    """`condition` is true; otherwise `message` says what was called, what came out and what should have."""
    holds = bool(condition)
    _observe("that", "", holds)
    _hold(holds, message)


def equal(
    actual: Any, expected: Any, call: str, *, likely: Mapping[str, Any] | None = None, hint: str | None = None
) -> None:
    """`actual` equals `expected` exactly: integers, strings, lists, sets, shapes, None.

    Args:
        actual: what the reader's code gave.
        expected: what an independent oracle says.
        call: the call as the reader would type it, e.g. ``"topological_order(root)"``.
        likely: misconception -> the value that it gives; named in the message when `actual` is that value.
        hint: added to the message in any other case.
    """
    _observe("equal", call, actual, expected)
    if type(expected) in (int, float, str, bool) and isinstance(actual, np.generic):
        actual = actual.item()
    _hold(
        _same(actual, expected),
        _message(
            call, f"got       {_show(actual)}\n  expected  {_show(expected)}", _diagnose(actual, likely, _same), hint
        ),
    )


def close(
    actual: Any,
    expected: Any,
    call: str,
    *,
    terms: int = 1,
    scale: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    dtype: Any = None,
    likely: Mapping[str, Any] | None = None,
    hint: str | None = None,
) -> None:
    """`actual` has the shape of `expected` and its values up to rounding.

    Args:
        actual, expected: numbers, nested sequences, arrays or tensors; NaN equals NaN, inf equals inf of the same sign.
        call: the call as the reader would type it.
        terms: how many terms are summed into one entry (scales the tolerance).
        scale: the largest magnitude of a term, where terms of both signs may cancel; default: that of `expected`.
        rtol, atol: replace the derived tolerance where it does not apply (finite differences, published figures);
            allowed is ``atol + rtol * |expected|``. Say in a comment where they come from.
        dtype: if given, `actual` must have it.
        likely: misconception -> the value that it gives; named in the message when `actual` is close to that.
        hint: added to the message in any other case.
    """
    how: dict[str, Any] = {"terms": terms, "scale": scale, "rtol": rtol, "atol": atol}
    _observe("close", call, actual, expected, **how, dtype=None if dtype is None else str(dtype))
    tolerance = _Tolerance(**how)
    got, want = _array(actual), _array(expected)
    if got is None:
        _hold(False, _message(call, f"got       {_show(actual)}\n  expected  {_describe(want)}", None, hint))
        return
    assert want is not None, f"{call}: the expected value is no array"
    if got.shape != want.shape:
        problem = f"shape     {got.shape}\n  expected  {want.shape}"
        _hold(False, _message(call, problem, _diagnose(actual, likely, tolerance.met), hint))
    if dtype is not None:
        name = str(getattr(actual, "dtype", type(actual).__name__))
        _hold(name == str(dtype), _message(call, f"dtype     {name}\n  expected  {dtype}", None, hint))
    wrong = differences(got, want, tolerance.allowed(actual, expected))
    if wrong.any():
        problem = _first_difference(got, want, wrong)
        _hold(False, _message(call, problem, _diagnose(actual, likely, tolerance.met), hint))
    _hold(True, "")


def raises(error: type[BaseException], call: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """``function(*args, **kwargs)`` raises `error`."""
    try:
        result = function(*args, **kwargs)
    except error:
        _observe("raises", call, True)
        _hold(True, "")
    except Exception as other:
        _observe("raises", call, False)
        _hold(
            False,
            _message(call, f"raised    {type(other).__name__}: {other}\n  expected  {error.__name__}", None, None),
        )
    else:
        _observe("raises", call, False)
        _hold(False, _message(call, f"returned  {_show(result)}\n  expected  it to raise {error.__name__}", None, None))


# ---------------------------------------------------------------- conduct


@contextlib.contextmanager
def unchanged(call: str, *arrays: Any) -> Iterator[None]:
    """None of `arrays` is written to inside the block: ``with check.unchanged("relu(x)", x): ...``"""
    before = [np.array(_array(a), copy=True) for a in arrays]
    yield
    for a, b in zip(arrays, before, strict=True):
        after = _array(a)
        same = after is not None and after.shape == b.shape and np.array_equal(after, b, equal_nan=b.dtype.kind in "fc")
        _observe("unchanged", call, after, b)
        _hold(same, f"{call} changed its input in place; work on a copy.")


@contextlib.contextmanager
def forbid(*names: str, because: str) -> Iterator[None]:
    """Inside the block a call of any of `names` (``"torch.autograd.grad"``) fails; `because` says what to do."""

    def refuse(name: str) -> Callable[..., Any]:
        def refused(*_: Any, **__: Any) -> Any:
            raise CheckFailed(f"{name} was called: {because}")

        return refused

    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(_replaced(name, refuse(name)))
        yield


@contextlib.contextmanager
def calls(name: str) -> Iterator[Callable[[], int]]:
    """Count the calls of `name` inside the block: ``with check.calls("numpy.exp") as n: ...; n()``"""
    owner, attribute = _owner(name)
    original, count = getattr(owner, attribute), 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        return original(*args, **kwargs)

    with _replaced(name, counted):
        yield lambda: count


# Where the names of answers live, when a grader runs a test in a namespace of its own.
answers: dict[str, Any] | None = None


def using(**instead: Any) -> contextlib.AbstractContextManager[None]:
    """Inside the block the names of other exercises mean `instead`, so that a test looks at one answer alone:
    ``with check.using(layer_norm=torch.nn.functional.layer_norm): ...``"""
    caller = sys._getframe(1).f_globals
    return _using([caller] if answers is None or answers is caller else [caller, answers], instead)


@contextlib.contextmanager
def _using(namespaces: list[dict[str, Any]], instead: Mapping[str, Any]) -> Iterator[None]:
    before = [{name: space[name] for name in instead if name in space} for space in namespaces]
    for space in namespaces:
        space.update(instead)
    try:
        yield
    finally:
        for space, own in zip(namespaces, before, strict=True):
            for name in instead.keys() - own.keys():
                del space[name]
            space.update(own)


@contextlib.contextmanager
def _replaced(name: str, function: Callable[..., Any]) -> Iterator[None]:
    """`function` in the place of what `name` names, inside the block."""
    owner, attribute = _owner(name)
    own = attribute in vars(owner)  # or inherited: then it is taken away again, not set
    original = vars(owner).get(attribute)
    setattr(owner, attribute, function)
    _observe("replaced", name, getattr(owner, attribute) is function)
    try:
        yield
    finally:
        if own:
            setattr(owner, attribute, original)
        else:
            delattr(owner, attribute)


def _owner(name: str) -> tuple[Any, str]:
    """``"torch.Tensor.backward"`` -> (torch.Tensor, "backward"): the longest importable prefix, then attributes."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        with contextlib.suppress(ImportError):
            owner = importlib.import_module(".".join(parts[:cut]))
            return functools.reduce(getattr, parts[cut:-1], owner), parts[-1]
    raise ImportError(f"nothing called {name}")


# ---------------------------------------------------------------- comparing and telling


def _array(value: Any) -> np.ndarray | None:
    """`value` as a NumPy array of numbers, or None if it is none."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.double().numpy() if value.dtype in (torch.bfloat16, torch.float16) else value.numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        return None
    return array if array.dtype.kind in "biufc" else None


def _eps(value: Any) -> float:
    """Machine epsilon of the dtype of `value`; Python numbers and integers count as float64."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return torch.finfo(value.dtype).eps if value.dtype.is_floating_point else np.finfo(np.float64).eps
    dtype = getattr(value, "dtype", np.dtype(np.float64))
    return float(np.finfo(dtype).eps) if np.dtype(dtype).kind in "fc" else float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class _Tolerance:
    terms: int
    scale: float | None
    rtol: float | None
    atol: float | None

    def allowed(self, actual: Any, expected: Any) -> np.ndarray | float:
        want = _array(expected)
        assert want is not None
        # What the oracle's dtype can hold is demanded; plain numbers have none, and then the answer's own decides.
        typed = expected if hasattr(expected, "dtype") else actual
        return allowed_error(want, _eps(typed), self.terms, self.scale, self.rtol, self.atol)

    def met(self, actual: Any, other: Any) -> bool:
        got, want = _array(actual), _array(other)
        if got is None or want is None or got.shape != want.shape:
            return False
        return not differences(got, want, self.allowed(actual, other)).any()


def allowed_error(
    want: np.ndarray, eps: float, terms: int, scale: float | None, rtol: float | None, atol: float | None
) -> np.ndarray | float:
    """How far an answer may be from `want`, as `close` explains; a grader that judges by itself uses the same rule."""
    if rtol is not None or atol is not None:
        return (atol or 0.0) + (rtol or 0.0) * np.abs(want)
    finite = np.abs(want[np.isfinite(want)])
    largest = float(finite.max()) if finite.size else 0.0
    return eps * (8 + terms) * max(largest, scale or 0.0)


def differences(got: np.ndarray, want: np.ndarray, allowed: np.ndarray | float) -> np.ndarray:
    """Where `got` is farther from `want` than `allowed`; NaN equals NaN, inf equals inf of the same sign."""
    if want.dtype.kind not in "fc" and got.dtype.kind not in "fc":
        return got != want
    with np.errstate(invalid="ignore"):
        ok = (np.abs(got - want) <= allowed) | (got == want) | (np.isnan(got) & np.isnan(want))
    return ~ok


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)


def _diagnose(actual: Any, likely: Mapping[str, Any] | None, same: Callable[[Any, Any], bool]) -> str | None:
    return next((story for story, value in (likely or {}).items() if same(actual, value)), None)


def _first_difference(got: np.ndarray, want: np.ndarray, wrong: np.ndarray) -> str:
    first = tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.ndim else ()
    digits = 10 if f"{got[first]:.10g}" != f"{want[first]:.10g}" else 17
    pair = f"got       {got[first]:.{digits}g}\n  expected  {want[first]:.{digits}g}"
    if not first:
        return pair
    place = ", ".join(map(str, first))
    return (
        f"{int(wrong.sum())} of {wrong.size} entries are wrong; the first is at [{place}]\n"
        f"  {pair}\n  shape     {got.shape}"
    )


def _message(call: str, problem: str, diagnosis: str | None, hint: str | None) -> str:
    if problem.startswith("got       None") and not diagnosis:
        diagnosis = "nothing was returned; is a `return` missing?"
    likely = f"\n  likely    {diagnosis}" if diagnosis else f"\n  hint      {hint}" if hint else ""
    return f"{call}\n  {problem}{likely}"


def _describe(array: np.ndarray | None) -> str:
    return "an array" if array is None else f"{array.dtype} of shape {array.shape}"


def _show(value: Any, limit: int = 300) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
