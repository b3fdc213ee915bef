"""What this machine has for the course, and what that means for the reader."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GIB = 2**30
NEEDED_DISK = 4 * GIB


@dataclass(frozen=True)
class Finding:
    """One thing looked at: "good", "note" (works, with a limit) or "bad" (something has to be done)."""

    name: str
    verdict: Literal["good", "note", "bad"]
    found: str
    meaning: str


def examine() -> list[Finding]:
    """Look at what the lessons use: Python, PyTorch, GPU, Triton, processor, memory, disk."""
    return [look() for look in (_python, _torch, _gpu, _triton, _processor, _memory, _disk)]


def _python() -> Finding:
    return Finding("Python", "good", platform.python_version(), "fine")


def _torch() -> Finding:
    version = _version("torch")
    if version is None:
        return Finding(
            "PyTorch", "bad", "missing", "install the course's packages: pip install -e . -c constraints.txt"
        )
    if version.split("+")[0] != "2.13.0":
        return Finding("PyTorch", "note", version, "the lessons were checked with 2.13.0; figures may differ")
    return Finding("PyTorch", "good", version, "fine")


def _gpu() -> Finding:
    none = "every lesson runs on the processor; cells that would go bigger on a GPU say so"
    if _version("torch") is None:
        return Finding("GPU", "note", "unknown, PyTorch is missing", none)
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found = f"{properties.name}, {properties.total_memory / GIB:.0f} GiB"
        return Finding("GPU", "good", found, "the same cells find it and go bigger")
    return Finding("GPU", "note", "none that CUDA sees", none)


def _triton() -> Finding:
    version = _version("triton")
    if version is None:
        means = "kernels can't be written here (Triton is for Linux on x86-64); weeks 2 to 6 do not need it"
        return Finding("Triton", "note", "missing", means)
    return Finding("Triton", "good", version, "kernels are interpreted on the processor, compiled where there is a GPU")


def _processor() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    meaning = "fine" if cores >= 2 else "lessons are measured on two cores; expect about twice the time"
    return Finding("Processor", "good" if cores >= 2 else "note", f"{cores} cores, {platform.machine()}", meaning)


def _memory() -> Finding:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return Finding("Memory", "note", "unknown", "a lesson stays under 2 GiB")
    if size < 4 * GIB:
        return Finding("Memory", "note", f"{size / GIB:.1f} GiB", "close other programs: a lesson takes up to 2 GiB")
    return Finding("Memory", "good", f"{size / GIB:.0f} GiB", "a lesson stays under 2 GiB")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / GIB:.1f} GiB free"
    if free < NEEDED_DISK:
        return Finding("Disk", "bad", found, f"make room: installing takes up to {NEEDED_DISK / GIB:.0f} GiB")
    return Finding("Disk", "good", found, "fine")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def show(findings: list[Finding], write: Callable[[str], object] = print) -> bool:
    """Print the findings as lines; returns whether nothing has to be done."""
    marks = {"good": "ok  ", "note": "note", "bad": "FAIL"}
    width = max(len(f.name) for f in findings)
    for f in findings:
        write(f"{marks[f.verdict]}  {f.name:<{width}}  {f.found}: {f.meaning}")
    return all(f.verdict != "bad" for f in findings)
