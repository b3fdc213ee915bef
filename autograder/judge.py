"""The verdict on a test, formed where no answer can reach: from what its checks looked at.

A test runs beside the answer, in the sandbox. Its checks report, as plain data, what they were given; whether that is
enough is decided here, against the same test's report with the reference in place and the same seed. So an answer has
to produce the right values: it earns nothing by making a comparison say yes, a check disappear or a cell end well.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsys.check import allowed_error, differences

Record = dict[str, Any]
_EPS = {"bfloat16": 2.0**-7, "float8_e4m3fn": 2.0**-3, "float8_e5m2": 2.0**-2}


@dataclass(frozen=True)
class Verdict:
    """`share` of the test's points in [0, 1], and `reason` when some are missing.

    `tampered`: the test ended well, yet what it saw is not enough for that; no honest run says so.
    """

    share: float
    reason: str = ""
    tampered: bool = False


class Transcript:
    """What a test's checks report with the reference in place, and which expected values are the same in every run."""

    def __init__(self, records: list[Record], again: list[Record]) -> None:
        """`records` and `again`: of two runs with one seed. What differs (the id of an object) can't be demanded.

        Raises:
            ValueError: the two runs make different checks.
        """
        if [_identity(r) for r in records] != [_identity(r) for r in again]:
            raise ValueError("makes different checks in two runs with one seed")
        self.records = records
        self._fixed = [one["values"] == other["values"] for one, other in zip(records, again, strict=True)]

    def judge(self, records: list[Record], finished: bool) -> Verdict:
        """The verdict on a run of the test that reported `records`, and `finished` or ended in an error."""
        share = 0.0
        for number, wanted in enumerate(self.records):
            if number >= len(records):
                return Verdict(share, "the test ended before its last check", tampered=finished)
            said = records[number]
            if _malformed(said, wanted) or _identity(said) != _identity(wanted):
                return Verdict(share, "a check is not the one of the test", tampered=finished)
            if wanted["kind"] == "credit":
                share = max(share, _credit(wanted))
                continue
            expected = _expected(wanted)
            if expected is not None and self._fixed[number] and not _same_expected(said, wanted):
                return Verdict(share, "an expected value is not the one of the test", tampered=finished)
            if not _holds(said, wanted):
                return Verdict(share, "a check does not hold", tampered=finished)
        if len(records) > len(self.records):
            return Verdict(share, "more checks than the test has", tampered=finished)
        return Verdict(1.0) if finished else Verdict(share, "the test did not run to its end")


def _identity(record: Record) -> tuple[Any, Any, Any]:
    """What is the same whatever the answer: the words of a `that` may quote it."""
    return record.get("kind"), record.get("call"), record.get("how", {}).get("dtype")


def _malformed(said: Record, wanted: Record) -> bool:
    values = said.get("values")
    return not isinstance(values, list) or len(values) != len(wanted["values"])


def _credit(record: Record) -> float:
    share = read(record["values"][0])
    return float(share) if 0 < share < 1 else 0.0


def _expected(record: Record) -> Any:
    return record["values"][1] if record["kind"] in ("equal", "close") else None


def _same_expected(said: Record, wanted: Record) -> bool:
    """Up to rounding: the two runs may have been on different machines."""
    mine, theirs = said["values"][1], wanted["values"][1]
    if mine == theirs:
        return True
    if wanted["kind"] == "equal":
        return _equal(mine, theirs)
    return _close(mine, theirs, wanted["how"], slack=4.0)


def _holds(said: Record, wanted: Record) -> bool:
    values = said["values"]
    try:
        match wanted["kind"]:
            case "equal" | "unchanged":
                return _equal(values[0], values[1])
            case "close":
                dtype = wanted["how"].get("dtype")
                if dtype is not None and _dtype(values[0]) != dtype.removeprefix("torch."):
                    return False
                return _close(values[0], values[1], wanted["how"])
            case _:  # "that", "raises"
                return read(values[0]) is True
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError):
        return False  # data that no encoder made


# ---------------------------------------------------------------- plain data


def read(data: Any) -> Any:
    """Plain data as Python objects; an object that is no data is a `Token` that equals only its like."""
    match data:
        case ["none"]:
            return None
        case ["bool", value]:
            return bool(value)
        case ["int", text]:
            return int(text, 16)
        case ["float", text]:
            return float.fromhex(text)
        case ["complex", text]:
            return complex(text)
        case ["str", text]:
            return text
        case ["bytes", text]:
            return bytes.fromhex(text)
        case ["list", items]:
            return [read(item) for item in items]
        case ["tuple", items]:
            return tuple(read(item) for item in items)
        case ["set", items]:
            return frozenset(_hashable(read(item)) for item in items)
        case ["dict", items]:
            return {_hashable(read(key)): read(value) for key, value in items}
        case ["array", _, shape, kind, body]:
            array = np.frombuffer(base64.b64decode(body), np.dtype(kind)).reshape(shape)
            return array.item() if not array.shape else array
        case ["fields", name, items]:
            return Token("fields", (name, *(_hashable(read(item)) for item in items)))
        case [kind, *rest]:
            return Token(str(kind), tuple(map(str, rest)))
    raise ValueError("no plain data")


@dataclass(frozen=True)
class Token:
    """Stands for an object that is no data."""

    kind: str
    inside: tuple[Any, ...]


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return ("list", *map(_hashable, value))
    if isinstance(value, dict):
        return ("dict", frozenset((k, _hashable(v)) for k, v in value.items()))
    if isinstance(value, np.ndarray):
        return (value.shape, str(value.dtype), value.tobytes())
    return value


def _equal(mine: Any, theirs: Any) -> bool:
    one, other = read(mine), read(theirs)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=True) if _numbers(one) and _numbers(other) else False
    return bool(one == other) or (_is_nan(one) and _is_nan(other))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _numbers(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "biufc"
    except ValueError:
        return False


def _close(mine: Any, theirs: Any, how: dict[str, Any], slack: float = 1.0) -> bool:
    got, want = _array(mine), _array(theirs)
    if got is None or want is None or got.shape != want.shape:
        return False
    eps = _eps(_dtype(theirs) or _dtype(mine))
    allowed = allowed_error(want, eps, int(how["terms"]), how["scale"], how["rtol"], how["atol"])
    return not differences(got, want, slack * allowed).any()


def _array(data: Any) -> np.ndarray | None:
    try:
        array = np.asarray(read(data))
    except ValueError:
        return None
    return array if array.dtype.kind in "biufc" else None


def _dtype(data: Any) -> str:
    """The dtype of an array or tensor, "" of anything else."""
    return str(data[1]) if data[0] == "array" else ""


def _eps(dtype: str) -> float:
    if dtype in _EPS:
        return _EPS[dtype]
    kind = np.dtype(dtype or "float64")
    return float(np.finfo(kind if kind.kind in "fc" else np.float64).eps)
