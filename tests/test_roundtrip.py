"""Opening a lesson in JupyterLab and saving it again changes nothing, whatever JupyterLab keeps with its cells."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from jupytext import TextFileContentsManager

REPOSITORY = Path(__file__).parents[1]
SOURCES = sorted((REPOSITORY / "solutions").glob("*/*.py"))

# Every mark, and what jupytext would like to read as something else.
EVERY_MARK = '''\
# %% [markdown]
# # Title
#
# Prose, $x^2$, a list:
#
# - one
#     - two
# ---

# %%
import numpy as np

# ls is short for list
# %timeit is a command of IPython, !ls one of the shell
# why?
x = np.ones(3)  # (3,)


class Twice:
    """A string with a
    # %% [markdown]-like line in it.
    """



# %% exercise="double" minutes=7.5 difficulty=2
def double(x):
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION
# %% test="double" points=0.5
assert double(1) == 2
### BEGIN HIDDEN TESTS
assert double(2) == 4
### END HIDDEN TESTS

# %% explore
x

# %% [markdown] question="why" points=4
# Why?
#
# ### BEGIN MARK SCHEME
# Because.
# ### END MARK SCHEME

# %% misconception="squares, \\"as it were\\": x**2 [in one = {two}]" exercise="double"
# × is not –.
def double(x):
    return x**2

# %% alternative="by product" exercise="double"
def double(x):
    return 2 * x
'''

NOISE = {
    "collapsed": True,
    "editable": True,
    "execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"},
    "jupyter": {"outputs_hidden": True, "source_hidden": True},
    "scrolled": False,
    "slideshow": {"slide_type": ""},
    "tags": ["seen"],
    "trusted": True,
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_source_is_saved_as_it_was(path: Path, tmp_path: Path) -> None:
    assert saved_by_jupyterlab(path.read_bytes(), tmp_path) == path.read_bytes()


def test_every_mark_is_saved_as_it_was(tmp_path: Path) -> None:
    assert saved_by_jupyterlab(EVERY_MARK.encode(), tmp_path).decode() == EVERY_MARK


def test_a_mark_that_the_file_did_not_have_yet_is_saved(tmp_path: Path) -> None:
    before = b"# %%\nx = 1\n"
    assert saved_by_jupyterlab(before, tmp_path, question="why") == b'# %% question="why"\nx = 1\n'


def test_a_cell_shows_what_its_source_says(tmp_path: Path) -> None:
    notebook = opened(manager(tmp_path), EVERY_MARK.encode())["content"]
    assert "# ls is short for list" in notebook["cells"][1]["source"]


def saved_by_jupyterlab(source: bytes, folder: Path, **marks: str) -> bytes:
    """Open `source` as a notebook and save it, through the contents manager that jupytext gives JupyterLab."""
    contents = manager(folder)
    model = json.loads(json.dumps(opened(contents, source), default=str))  # as it travels to the browser and back
    metadata = model["content"]["metadata"]
    metadata |= {"language_info": {"name": "python", "version": "3.13.0"}, "widgets": {}}
    metadata["jupytext"].pop("notebook_metadata_filter")  # an author who ticks *Include Metadata* in the Jupytext menu
    for cell in model["content"]["cells"]:
        cell["metadata"] |= NOISE | marks
    contents.save(model, "week/lesson.py")
    return (folder / "week" / "lesson.py").read_bytes()


def manager(folder: Path) -> TextFileContentsManager:
    shutil.copy(REPOSITORY / "jupytext.toml", folder)
    return TextFileContentsManager(root_dir=str(folder))


def opened(contents: TextFileContentsManager, source: bytes) -> dict[str, object]:
    path = Path(contents.root_dir) / "week" / "lesson.py"
    path.parent.mkdir()
    path.write_bytes(source)
    return contents.get("week/lesson.py", type="notebook")
