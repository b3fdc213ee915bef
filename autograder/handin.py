"""What was handed in, read without trust: any bytes under any name, and nothing outside of the student's folder."""

from __future__ import annotations

import json
import os
import stat
import unicodedata
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.utils import parse_utc

MAX_BYTES = 50 * 2**20
MAX_NODES = 2_000_000  # lists and objects: 50 MB of "[],[],..." would take a gigabyte of memory
MAX_CELLS = 5000
MAX_STUDENT = 128  # characters that nbgrader's gradebook keeps of a student's id
MAX_SHOWN = 80

_TAKEN = frozenset("*?[]<>")  # a pattern to its converters, markup to its formgrader


class Unreadable(ValueError):
    """A file that can't be taken for what it should be; the text completes "the file ..."."""


def shown(text: str) -> str:
    """`text` from a stranger, fit for one line of a terminal: printable, encodable, not too long."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def refusal(student: str) -> str:
    """Why nbgrader can't hold a student whose folder has this name; "" when it can."""
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in student):
        return "the folder's name holds control characters or is no UTF-8"
    if set(student) & _TAKEN:
        return f"the folder's name holds one of {' '.join(sorted(_TAKEN))}, which nbgrader takes for something else"
    if len(student) > MAX_STUDENT:
        return f"the folder's name is longer than the {MAX_STUDENT} characters that a gradebook keeps"
    if student != student.strip() or student.startswith("."):
        return "the folder's name begins or ends with a space, or begins with a dot"
    return ""


def notebook_names(folder: Path) -> list[str]:
    """The names that end in .ipynb, sorted, hidden ones left out.

    Raises:
        Unreadable: `folder` is none, or a link (to wherever its maker liked).
    """
    for part in (folder.parent, folder):
        if part.is_symlink():
            raise Unreadable("is a link, which is not followed")
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError as error:
        raise Unreadable(f"can't be listed ({error.strerror})") from error
    return sorted(name for name in names if name.endswith(".ipynb") and not name.startswith("."))


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A regular file's bytes; never through a link, never waiting for a pipe or a device.

    Raises:
        Unreadable: it is something else, can't be opened, or has more than `limit` bytes.
    """
    try:
        if path.is_symlink():
            raise Unreadable("is a link, which is not followed")
        if not stat.S_ISREG(path.lstat().st_mode):  # before opening: opening a device may do something
            raise Unreadable("is a folder or device, not a file")
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise Unreadable(f"can't be opened ({error.strerror})") from error
    if len(raw) > limit:
        raise Unreadable(f"is larger than {limit / 2**20:.3g} MB")
    return raw


def read_notebook(path: Path) -> tuple[dict[str, Any], int]:
    """A notebook as plain data of format 4, of which only `cells` is known to be a list; and the format it came in.

    Raises:
        Unreadable: with the reason.
    """
    raw = read_bytes(path)
    if not raw.strip():
        raise Unreadable("is empty")
    if raw.count(b"[") + raw.count(b"{") > MAX_NODES:
        raise Unreadable(f"holds more than {MAX_NODES:,} lists and objects")
    try:
        notebook = json.loads(raw)
    except RecursionError as error:
        raise Unreadable("is nested too deeply") from error
    except ValueError as error:  # no JSON, or no text in any encoding
        raise Unreadable(f"is no notebook ({shown(str(error))}); a broken or half-done upload?") from error
    if not isinstance(notebook, dict):
        raise Unreadable("is no notebook (it is JSON, but no object)")
    version = notebook.get("nbformat", 4)
    if type(version) is not int or version > 4:
        raise Unreadable(f"is in notebook format {shown(str(version))}, which nobody knew yet; save it in format 4")
    if version < 4:
        notebook = _converted(raw)
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise Unreadable("has no list of cells")
    if len(cells) > MAX_CELLS:
        raise Unreadable(f"has more than {MAX_CELLS} cells")
    return notebook, version


def _converted(raw: bytes) -> dict[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):  # about ids, which no old notebook has
            return nbformat.reads(raw.decode("utf-8-sig"), as_version=4)
    except Exception as error:  # nbformat trusts what it converts
        raise Unreadable(f"is in an old notebook format that can't be converted ({type(error).__name__})") from error


def read_timestamp(folder: Path) -> datetime | None:
    """When it was handed in, in UTC, from nbgrader's ``timestamp.txt``; None without one.

    Raises:
        Unreadable: there is one, and no time in it.
    """
    path = folder / "timestamp.txt"
    if folder.is_symlink() or not os.path.lexists(path):
        return None
    text = read_bytes(path, limit=1000).decode("utf-8", "replace").strip()
    try:
        return parse_utc(text) if text else None
    except Exception as error:  # dateutil raises anything at all
        raise Unreadable(f"holds no time ({shown(text)})") from error


def plain_text(value: Any) -> str:
    """The source of a cell: str or list of str, with Unix line ends and nothing that UTF-8 can't hold."""
    if isinstance(value, list):
        value = "".join(line for line in value if isinstance(line, str))
    if not isinstance(value, str):
        return ""
    return value.replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8")
