"""Files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write a whole file or none; its folder is made where it is missing.

    It is written beside and renamed: who reads at the same time sees the old file or the new one, and neither a full
    disk nor an interrupt nor a second writer leaves half of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
