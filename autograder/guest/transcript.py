"""What a test's checks looked at, reported to the judge as plain data.

A record counts only when it was a test, or a given function that a test called, that called the check: an answer that
calls a check itself, or puts its own function in a check's place and calls the original from there, adds nothing.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from autograder.guest.plain import Encoder


class Transcript:
    """The records of one test cell."""

    def __init__(
        self, records: list[dict[str, Any]], ours: Mapping[int, types.CodeType], checks: types.CodeType
    ) -> None:
        """Adds to `records`. `ours`: code objects of given cells and tests by id; `checks`: the module of checks."""
        self.records = records
        self._ours = ours
        self._passes = {id(code) for code in _all_codes(checks)} | {id(code) for code in _CONTEXT_MANAGERS}

    def observer(self) -> Callable[..., None]:
        """What `llmsys.check` is to call with every check."""
        records, ours, passes, getframe = self.records, self._ours, self._passes, sys._getframe

        def observe(kind: str, call: str, *values: Any, **how: Any) -> None:
            frame: types.FrameType | None = getframe(1)
            if frame is None or id(frame.f_code) not in passes:
                return
            while frame is not None and id(frame.f_code) in passes:
                frame = frame.f_back
            if frame is not None and id(frame.f_code) in ours:
                records.append(_record(kind, call, values, how))

        return observe


def _record(kind: str, call: str, values: tuple[Any, ...], how: dict[str, Any]) -> dict[str, Any]:
    encoder = Encoder()
    # The expected value first: its objects are numbered alike whatever the answer was.
    encoded = [encoder.encode(value) for value in reversed(values)][::-1]
    plain = {name: value if isinstance(value, str | None) else float(value) for name, value in how.items()}
    return {"kind": kind, "call": str(call), "values": encoded, "how": plain}


def _all_codes(code: types.CodeType) -> list[types.CodeType]:
    inner = [c for constant in code.co_consts if isinstance(constant, types.CodeType) for c in _all_codes(constant)]
    return [code, *inner]


_CONTEXT_MANAGERS = [
    function.__code__
    for owner in (contextlib._GeneratorContextManager, contextlib.ExitStack, contextlib._BaseExitStack)
    for function in vars(owner).values()
    if isinstance(function, types.FunctionType)
]
