"""A JupyterLab server on a small course, as it stands after a class of two was graded."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat

from autograder.build import build
from autograder.course import Course
from autograder.grade import find_submissions, grade
from autograder.source import read_lesson

REPOSITORY = Path(__file__).parents[2]
SECONDS = 60  # that one step may take, on a machine with other things to do
LESSON = '''\
# %% [markdown]
# # Double

# %%
from llmsys import check

# %% exercise="double" minutes=1 difficulty=1
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION

# %% test="double" points=2
check.equal(double(2), 4, "double(2)")
### BEGIN HIDDEN TESTS
check.equal(double(5), 10, "double(5)")
### END HIDDEN TESTS

# %% explore
print(*range(5), sep=" < ")

# %% [markdown] question="why" points=1
# Why is this so?
#
# ### BEGIN MARK SCHEME
# Because of addition.
# ### END MARK SCHEME
'''
ANSWER = "def double(x):\n    return 2 * x"


@dataclass(frozen=True)
class Lab:
    """A server: the directory that it serves, which is laid out as the repository is, and how to get in."""

    root: Path
    address: str
    token: str

    def url(self, path: str = "") -> str:
        tree = f"/tree/{path}" if path else ""
        return f"{self.address}/lab{tree}?reset&token={self.token}"

    def hand_out(self, name: str, answer: str | None = None) -> str:
        """A fresh copy of the release in the directory served, answered if `answer` is given; returns where it is."""
        _copy_release(self.root, self.root / f"{name}.ipynb", answer)
        return f"{name}.ipynb"


def grade_a_class(root: Path) -> None:
    """Build the course below `root` and grade ada, who is right, and bob, who hands in what he was given."""
    for settings in ("nbgrader_config.py", "jupytext.toml"):
        shutil.copy(REPOSITORY / settings, root)
    source = root / "solutions" / "week" / "double.py"
    source.parent.mkdir(parents=True)
    source.write_text(LESSON)
    course = Course(root / "course")
    build([read_lesson(source)], course, root / "notebooks")
    for student, answer in {"ada": ANSWER, "bob": None}.items():
        submitted = course.submitted_path(student, "week")
        submitted.mkdir(parents=True)
        _copy_release(root, submitted / "double.ipynb", answer)
    grade(course, find_submissions(course), executor=ThreadPoolExecutor(2))


def _copy_release(root: Path, to: Path, answer: str | None) -> None:
    notebook = nbformat.read(root / "notebooks" / "week" / "double.ipynb", as_version=4)
    for cell in notebook.cells:
        if answer and cell.id == "exercise-double":
            cell.source = answer
    nbformat.write(notebook, to)


@contextmanager
def serving(root: Path, home: Path) -> Iterator[Lab]:
    """JupyterLab as `jupyter lab` starts it in `root`, with nobody's own settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab = Lab(root, f"http://127.0.0.1:{port}", secrets.token_hex(8))
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={lab.token}"]
    if os.geteuid() == 0:
        options.append("--allow-root")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", *options]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=root, env=_environment(home), stdout=log, stderr=log)
    try:
        _wait_for(server, lab, home / "log")
        yield lab
    finally:
        server.terminate()  # it shuts its kernels down on its way out
        try:
            server.wait(SECONDS)
        finally:
            server.kill()


def _environment(home: Path) -> dict[str, str]:
    page_config = home / "labconfig" / "page_config.json"
    page_config.parent.mkdir()
    # Its question about news would stand in the way.
    page_config.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    return os.environ | {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        # nbgrader calls `alembic` by its bare name
        "PATH": os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"])),
    }


def _wait_for(server: subprocess.Popen[bytes], lab: Lab, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{lab.address}/api", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")
