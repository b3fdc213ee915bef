"""What this machine has for grading, on top of what the lessons need (`llmsys.doctor`)."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from llmsys.doctor import Finding
from llmsys.doctor import examine as examine_for_lessons


def examine() -> list[Finding]:
    """The lessons' findings, then nbgrader, the kernel and the sandbox."""
    return [*examine_for_lessons(), _nbgrader(), _kernel(), _sandbox()]


def _nbgrader() -> Finding:
    version = importlib.metadata.version("nbgrader")
    if version != "0.9.6":
        return Finding("nbgrader", "note", version, "this autograder was checked with 0.9.6")
    return Finding("nbgrader", "good", version, "fine")


def _kernel() -> Finding:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding(
            "Kernel", "bad", "no kernel called python3", "install one: python -m ipykernel install --sys-prefix"
        )
    program = Path(spec.argv[0])
    if program.is_absolute() and program.resolve() != Path(sys.executable).resolve():
        means = "notebooks would run in another Python than this one: python -m ipykernel install --sys-prefix"
        return Finding("Kernel", "bad", str(program), means)
    return Finding("Kernel", "good", "python3", "runs in this Python")


def _sandbox() -> Finding:
    program = shutil.which("bwrap")
    meaning = "submissions run with your rights: grade people you trust, or in a container or on a machine of its own"
    if program is None:
        return Finding("Sandbox", "note", "none (bubblewrap is not installed)", meaning)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Finding("Sandbox", "note", f"{version}, which this version does not use", meaning)
