"""Put a released notebook where somebody works, and never over their work."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from llmsys.files import write


@dataclass(frozen=True)
class Placed:
    """What became of a release: the notebook that stands at `path`, and the new one beside it where that was kept."""

    path: Path
    outcome: Literal["new", "unchanged", "updated", "kept"]
    beside: Path | None = None

    def __str__(self) -> str:
        if self.outcome == "kept":
            return f"{self.path}: kept, it holds your work; the new version is beside it as {self.beside.name}"  # type: ignore[union-attr]
        return f"{self.path}: {self.outcome}"


def stamp(release: NotebookNode) -> NotebookNode:
    """Write into a release the digest of its own cells, by which an unedited copy is known later."""
    release.metadata.setdefault("llmsys", {})["digest"] = _digest(release)
    return release


def is_edited(path: Path) -> bool:
    """Whether the notebook at `path` holds anything but a release as it was made (outputs do not count)."""
    try:
        notebook = nbformat.read(path, as_version=4)
        return bool(notebook.metadata.get("llmsys", {}).get("digest") != _digest(notebook))
    except Exception:  # nbformat raises anything at all; what can't be read may still be somebody's work
        return True


def place(release: Path, target: Path) -> Placed:
    """Copy `release` to `target`, unless `target` was edited: then the release goes beside it as ``NAME.new.ipynb``."""
    beside = target.with_name(f"{target.stem}.new.ipynb")
    content = release.read_bytes()
    if not target.exists():
        write(target, content)
        return Placed(target, "new")
    begun_from = _digest_of(target)
    if target.read_bytes() == content or (begun_from and begun_from == _digest_of(release)):
        return Placed(target, "unchanged")  # run or edited perhaps, but there is nothing newer to offer
    if is_edited(target):
        write(beside, content)
        return Placed(target, "kept", beside)
    write(target, content)
    return Placed(target, "updated")


def fetch(source: Path, into: Path) -> list[Placed]:
    """Place every notebook under `source` at the same place under `into`; other files go along if they are new."""
    placed = []
    for path in sorted(p for p in source.rglob("*") if p.is_file() and ".ipynb_checkpoints" not in p.parts):
        target = into / path.relative_to(source)
        if path.suffix == ".ipynb":
            placed.append(place(path, target))
        elif not target.exists():
            write(target, path.read_bytes())
    return placed


def _digest_of(path: Path) -> str:
    """The digest of the release that the notebook at `path` was begun from; "" if it can't be read."""
    try:
        return str(nbformat.read(path, as_version=4).metadata.get("llmsys", {}).get("digest"))
    except Exception:  # as in `is_edited`
        return ""


def _digest(notebook: NotebookNode) -> str:
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]
