"""What this machine has for grading, on top of what the lessons need (`llmsys.doctor`)."""

from __future__ import annotations

import importlib.metadata
import subprocess

from llmsys.doctor import Finding
from llmsys.doctor import examine as examine_for_lessons


def examine() -> list[Finding]:
    """The lessons' findings, then nbgrader and the sandbox."""
    return [*examine_for_lessons(), _nbgrader(), _sandbox()]


def _nbgrader() -> Finding:
    version = importlib.metadata.version("nbgrader")
    if version != "0.9.6":
        return Finding("nbgrader", "note", version, "this autograder was checked with 0.9.6")
    return Finding("nbgrader", "good", version, "fine")


def _sandbox() -> Finding:
    from autograder.sandbox import SandboxError, Worker, bubblewrap

    try:
        program = bubblewrap()
        Worker("warm").close()
    except SandboxError as error:
        return Finding("Sandbox", "bad", "none", str(error))
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Finding("Sandbox", "good", version or program, "submissions run apart: no network, nothing of the course")
