"""Any value as plain data: what a test looked at, for a judge in another process.

Objects that pretend (a list whose `==` says yes to everything, a tensor whose comparison is overridden) are read
through the methods of the type that they derive from, never through their own. What is no data (a node, a function)
becomes a number that is equal for the same object only.
"""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np
import torch

DEPTH = 64  # nested deeper, an object is told by its identity


class Encoder:
    """Encodes the values of one check; the same object has the same number in all of them."""

    def __init__(self) -> None:
        self._objects: list[Any] = []

    def encode(self, value: Any, depth: int = 0) -> Any:
        """`value` as something that JSON can hold: a tag, and what belongs to it."""
        if value is None or value is NotImplemented or value is Ellipsis:
            return ["none" if value is None else repr(value)]
        kind = next((base for base in _BASES if base in _bases_of(type(value))), None)
        if kind is not None and depth < DEPTH:
            return _BASES[kind](self, value, depth + 1)
        if depth < DEPTH and _compares_by_fields(type(value)):
            fields = [f.name for f in dataclasses.fields(value) if f.compare]
            inside = [self.encode(object.__getattribute__(value, name), depth + 1) for name in fields]
            return ["fields", type(value).__qualname__, inside]
        return ["object", self._number(value)]

    def _number(self, value: Any) -> int:
        for number, known in enumerate(self._objects):
            if known is value or (type(known) is type(value) and _is_equal(known, value)):
                return number
        self._objects.append(value)
        return len(self._objects) - 1

    def _array(self, value: Any, depth: int) -> Any:
        array = np.ndarray.view(value, np.ndarray) if isinstance(value, np.ndarray) else np.asarray(value)
        if array.dtype.kind not in "biufc":
            return self.encode(np.ndarray.tolist(array), depth) if depth < DEPTH else ["object", self._number(value)]
        return _array_data(array, str(array.dtype))

    def _tensor(self, value: Any, depth: int) -> Any:
        with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
            plain = torch.Tensor.detach(value)
            dtype = str(plain.dtype).removeprefix("torch.")
            plain = plain.cpu().resolve_conj().resolve_neg()
            if dtype not in _NUMPY_KNOWS:
                plain = plain.to(torch.float32 if plain.dtype.is_floating_point else torch.int64)
            if plain.layout is not torch.strided:
                plain = plain.to_dense()
            return _array_data(plain.numpy(), dtype)

    def _items(self, value: Any, depth: int) -> list[Any]:
        return [self.encode(item, depth) for item in value]

    def _mapping(self, value: Any, depth: int) -> list[Any]:
        return [[self.encode(k, depth), self.encode(v, depth)] for k, v in dict.items(value)]


_NUMPY_KNOWS = {str(np.dtype(kind)) for kind in "bhilBHILfdFD?e"} | {"bool", "int64", "uint8", "float16"}


def _array_data(array: np.ndarray, dtype: str) -> Any:
    body = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return ["array", dtype, list(array.shape), str(array.dtype), body]


# In the order in which they are tried; a bool is an int, too. Each reads through the base's own methods.
_BASES: dict[type, Any] = {
    bool: lambda e, v, d: ["bool", v],
    int: lambda e, v, d: ["int", hex(int.__int__(v))],
    np.generic: Encoder._array,
    float: lambda e, v, d: ["float", float.hex(float.__float__(v))],
    complex: lambda e, v, d: ["complex", repr(complex.__complex__(v))],
    str: lambda e, v, d: ["str", str.encode(v, "utf-8", "surrogatepass").decode("latin-1")],
    bytes: lambda e, v, d: ["bytes", bytes.hex(v)],
    list: lambda e, v, d: ["list", e._items(list.__iter__(v), d)],
    tuple: lambda e, v, d: ["tuple", e._items(tuple.__iter__(v), d)],
    range: lambda e, v, d: ["list", e._items(v, d)],
    set: lambda e, v, d: ["set", e._items(set.__iter__(v), d)],
    frozenset: lambda e, v, d: ["set", e._items(frozenset.__iter__(v), d)],
    dict: lambda e, v, d: ["dict", e._mapping(v, d)],
    np.ndarray: Encoder._array,
    torch.Tensor: Encoder._tensor,
}

_bases_of = type.__dict__["__mro__"].__get__  # a class can't answer for itself
_LIBRARY_TYPES = (np.dtype, torch.dtype, torch.device, torch.layout, slice, type(len))


def _compares_by_fields(kind: type) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    return bool(getattr(parameters, "eq", False))


def _is_equal(known: Any, value: Any) -> bool:
    """Equal by a comparison that no answer can have written; two equal dtypes need not be one object."""
    return type(value) in _LIBRARY_TYPES and bool(known == value)
