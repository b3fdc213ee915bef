"""A JupyterLab server on a small course, and a browser on it."""

from __future__ import annotations

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
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from autograder.build import build
from autograder.course import Course
from autograder.grade import find_submissions, grade
from autograder.source import read_lesson

REPOSITORY = Path(__file__).parents[2]
SECONDS = 30  # that a page may take over one step, on a machine that has other things to do

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
    """A running JupyterLab: the directory that it serves, and how to get in."""

    root: Path
    address: str
    token: str

    def url(self, path: str, **query: str) -> str:
        more = "".join(f"&{key}={value}" for key, value in query.items())
        return f"{self.address}/lab/tree/{path}?reset&token={self.token}{more}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("repository")
    for settings in ("nbgrader_config.py", "jupytext.toml"):
        shutil.copy(REPOSITORY / settings, root)
    _build_and_grade(root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Lab(root, f"http://127.0.0.1:{port}", secrets.token_hex(8))
    server = _start(running, port, tmp_path_factory.mktemp("home"))
    try:
        _wait_for(server, f"{running.address}/api?token={running.token}")
        yield running
    finally:
        server.terminate()  # the server shuts its kernels down on its way out
        try:
            server.wait(SECONDS)
        finally:
            server.kill()


def _build_and_grade(root: Path) -> None:
    source = root / "solutions" / "week" / "double.py"
    source.parent.mkdir(parents=True)
    source.write_text(LESSON)
    course = Course(root / "course")
    build([read_lesson(source)], course, root / "notebooks")
    for student, answer in {"ada": ANSWER, "bob": None}.items():
        hand_in = course.submitted_path(student, "week") / "double.ipynb"
        hand_in.parent.mkdir(parents=True)
        copy_release(root, hand_in, answer)
    grade(course, find_submissions(course))


def copy_release(root: Path, to: Path, answer: str | None = None) -> None:
    """The notebook as students get it, with the exercise answered if `answer` is given."""
    notebook = nbformat.read(root / "notebooks" / "week" / "double.ipynb", as_version=4)
    for cell in notebook.cells:
        if answer and cell.id == "exercise-double":
            cell.source = answer
    nbformat.write(notebook, to)


def _start(lab: Lab, port: int, home: Path) -> subprocess.Popen[bytes]:
    # Nobody's settings but ours, and no question about news in the way. nbgrader calls `alembic` by its bare name.
    (home / "labconfig").mkdir()
    (home / "labconfig" / "page_config.json").write_text(
        '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
    )
    environment = os.environ | {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "PATH": os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"])),
    }
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={lab.token}"]
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", *options, *as_root],
            cwd=lab.root,
            env=environment,
            stdout=log,
            stderr=log,
        )


def _wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, "JupyterLab did not start"
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("JupyterLab does not answer")
