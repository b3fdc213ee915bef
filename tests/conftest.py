"""A small lesson, and what the tests do with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from autograder.build import build
from autograder.course import Course
from autograder.source import Lesson, read_lesson

SMALL_LESSON = '''\
# %% [markdown]
# # Small numbers

# %%
from llmsys import check

# %% exercise="double" minutes=1 difficulty=1
def double(x: int) -> int:
    """Twice `x`."""
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION

# %% test="double" points=2
check.equal(double(2), 4, "double(2)")
### BEGIN HIDDEN TESTS
_x = int(check.rng().integers(3, 100))
check.equal(double(_x), 2 * _x, "double(x)", likely={"the square": _x**2})
### END HIDDEN TESTS

# %% explore
raise RuntimeError("a demonstration never runs while grading")

# %%
triple_of_two = 6

# %% exercise="triple" minutes=2 difficulty=2
def triple(x: int) -> int:
    """Three times `x`."""
    ### BEGIN SOLUTION
    return x * 3
    ### END SOLUTION

# %% test="triple" points=1
check.equal(triple(2), triple_of_two, "triple(2)")
### BEGIN HIDDEN TESTS
check.equal(triple(-5), -15, "triple(a negative number)")
### END HIDDEN TESTS

# %% [markdown] question="why" points=4
# Why are numbers small?
#
# ### BEGIN MARK SCHEME
# Full points for naming the successor function.
# ### END MARK SCHEME
'''

SMALL_CASES = """\
# %% misconception="squares" exercise="double"
# Two is its own square's root in spirit.
def double(x):
    return x * x

# %% alternative="by product" exercise="double"
# The same by multiplication.
def double(x):
    return 2 * x

# %% misconception="adds" exercise="triple"
# Three more is not three times.
def triple(x):
    return x + 4
"""


@pytest.fixture
def write_lesson(tmp_path: Path) -> Callable[..., Path]:
    """Write a lesson's source (and cases) under ``solutions/week/`` and return its path."""

    def write(source: str = SMALL_LESSON, cases: str | None = None, name: str = "small") -> Path:
        path = tmp_path / "solutions" / "week" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        if cases is not None:
            path.with_name(f"{name}_cases.py").write_text(cases, encoding="utf-8")
        return path

    return write


@pytest.fixture
def lesson(write_lesson: Callable[..., Path]) -> Lesson:
    return read_lesson(write_lesson())


@pytest.fixture(scope="session")
def built_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small lesson built once; making a gradebook takes nbgrader two seconds."""
    root = tmp_path_factory.mktemp("built")
    source = root / "solutions" / "week" / "small.py"
    source.parent.mkdir(parents=True)
    source.write_text(SMALL_LESSON, encoding="utf-8")
    build([read_lesson(source)], Course(root / "course"), root / "notebooks")
    return root / "course"


@pytest.fixture
def course(built_course: Path, tmp_path: Path) -> Course:
    """A course with the small lesson built into it."""
    return Course(shutil.copytree(built_course, tmp_path / "course"))


@pytest.fixture
def hand_in(course: Course) -> Callable[..., Path]:
    """Hand in the small lesson for a student, with some exercise cells replaced."""

    def hand_in(student: str, **answers: str) -> Path:
        notebook = nbformat.read(course.release_path("week", "small"), as_version=4)
        for cell in notebook.cells:
            name = cell.id.removeprefix("exercise-")
            if name in answers:
                cell.source = answers[name]
        path = course.submitted_path(student, "week") / "small.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
        return path

    return hand_in
