"""A new version never goes over somebody's work."""

from __future__ import annotations

import nbformat
import pytest
from typer.testing import CliRunner

from llmsys import cli, release


def notebook(text: str) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(text, id="one")
    return release.stamp(nbformat.v4.new_notebook(cells=[cell]))


@pytest.fixture
def shelf(tmp_path):
    """Released notebooks, and a way to put out a version."""
    path = tmp_path / "notebooks" / "week" / "lesson.ipynb"
    path.parent.mkdir(parents=True)

    def put_out(text: str):
        nbformat.write(notebook(text), path)
        return path.parent.parent

    return put_out


def test_fetch_brings_what_is_new_and_then_nothing(shelf, tmp_path):
    work = tmp_path / "work"
    assert [p.outcome for p in release.fetch(shelf("v1"), work)] == ["new"]
    assert [p.outcome for p in release.fetch(shelf("v1"), work)] == ["unchanged"]


def test_an_untouched_copy_is_updated(shelf, tmp_path):
    work = tmp_path / "work"
    release.fetch(shelf("v1"), work)
    assert [p.outcome for p in release.fetch(shelf("v2"), work)] == ["updated"]
    assert "v2" in (work / "week" / "lesson.ipynb").read_text()


def edit(path, change):
    opened = nbformat.read(path, as_version=4)
    change(opened)
    nbformat.write(opened, path)


def test_an_edited_copy_is_kept_and_the_new_one_stands_beside_it(shelf, tmp_path):
    work = tmp_path / "work"
    release.fetch(shelf("v1"), work)
    mine = work / "week" / "lesson.ipynb"
    edit(mine, lambda nb: nb.cells[0].update(source="my answer"))
    assert [p.outcome for p in release.fetch(shelf("v1"), work)] == ["unchanged"]
    (placed,) = release.fetch(shelf("v2"), work)
    assert placed.outcome == "kept"
    assert "my answer" in mine.read_text()
    assert "v2" in (work / "week" / "lesson.new.ipynb").read_text()


def test_outputs_of_a_run_stay_while_nothing_new_is_out(shelf, tmp_path):
    work = tmp_path / "work"
    release.fetch(shelf("v1"), work)
    mine = work / "week" / "lesson.ipynb"
    edit(mine, lambda nb: nb.cells[0].outputs.append(nbformat.v4.new_output("stream", text="ran")))
    assert [p.outcome for p in release.fetch(shelf("v1"), work)] == ["unchanged"]
    assert "ran" in mine.read_text()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\x00", b"[]", b'{"cells": 3}'])
def test_what_cannot_be_read_is_kept(shelf, tmp_path, content):
    mine = tmp_path / "work" / "week" / "lesson.ipynb"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(content)
    assert [p.outcome for p in release.fetch(shelf("v1"), tmp_path / "work")] == ["kept"]
    assert mine.read_bytes() == content


def test_the_command_says_what_it_kept(shelf, tmp_path):
    source, work = shelf("v1"), tmp_path / "work"
    run = CliRunner()
    assert "new" in run.invoke(cli.app, ["fetch", str(source), str(work)]).output
    assert "up to date" in run.invoke(cli.app, ["fetch", str(source), str(work)]).output
    edit(work / "week" / "lesson.ipynb", lambda nb: nb.cells[0].update(source="mine"))
    shelf("v2")
    assert "kept, it holds your work" in run.invoke(cli.app, ["fetch", str(source), str(work)]).output
