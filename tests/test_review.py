"""The static look finds what no answer needs, and nothing in honest answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from autograder.cases import read_cases
from autograder.review import review
from autograder.source import find_lessons, read_lesson

SOLUTIONS = Path(__file__).parent.parent / "solutions"


def reasons(*sources):
    return [finding.reason for finding in review(new_notebook(cells=[new_code_cell(source) for source in sources]))]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import ctypes", "line 1: reaches for native memory (ctypes)"),
        ("x = 1\nfrom multiprocessing.pool import Pool", "line 2: reaches for processes (multiprocessing.pool)"),
        ("import os\nos.system('ls')", "line 2: reaches for processes (system)"),
        ("torch.allclose = lambda *a: True", "line 1: reaches for a library's name (torch.allclose)"),
        ("setattr(check, 'close', print)", "line 1: reaches for a library's name (check....)"),
        ("f.__globals__['x'] = 1", "line 1: reaches for another function's insides (__globals__)"),
        ("get_ipython().events", "line 1: reaches for the shell (get_ipython)"),
        ("%time\nsys._getframe(1)", "line 2: reaches for other frames (_getframe)"),
        ("x = 1\n!ls", "line 2: reaches for processes (a line for the system's shell)"),
        ("exec(code)", "line 1: reaches for code made while running (exec)"),
        ("import urllib.request as u", "line 1: reaches for the network (urllib.request)"),
        ("().__class__.__base__.__subclasses__()", "every class of the interpreter (__subclasses__)"),
    ],
)
def test_what_no_answer_needs_is_found(source, reason):
    assert any(found.endswith(reason) for found in reasons(source))


@pytest.mark.parametrize(
    "source",
    [
        "torch.backends.cudnn.deterministic = True",
        "x.grad = None\nself.value = 1\nparameter.data = y",
        "import gc, sys, os, re, json\ngc.collect()",
        "this is no Python",
        "%%time\n1",
        "\0",
    ],
)
def test_what_answers_may_do_is_not(source):
    assert reasons(source) == []


@pytest.mark.parametrize("path", find_lessons(SOLUTIONS), ids=lambda path: path.stem)
def test_no_reference_answer_and_no_alternative_is_listed(path):
    lesson = read_lesson(path)
    answers = [cell.without() for cell in lesson.of_kind("exercise")]
    answers += [case.source for case in read_cases(lesson) if case.role == "alternative"]
    assert reasons(*answers) == []
