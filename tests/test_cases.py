"""The case harness: the kill table, its verdicts, and that they are those of the real pipeline."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from autograder import cli
from autograder.cases import read_cases
from autograder.snapshot import judge_lessons
from autograder.source import SourceError, read_lesson
from tests.conftest import SMALL_CASES, SMALL_LESSON


def judge(path, seconds=5.0):
    ((lesson, verdicts),) = judge_lessons([path], seconds=seconds)
    return lesson, {(v.case.exercise, v.case.name): v for v in verdicts}


def test_verdicts(write_lesson):
    lesson, verdicts = judge(write_lesson(cases=SMALL_CASES))
    assert lesson == "week/small"
    assert {key: v.passed for key, v in verdicts.items()} == {
        ("double", "reference"): True,
        ("double", "untouched"): False,
        ("double", "squares"): False,
        ("double", "by product"): True,
        ("triple", "reference"): True,
        ("triple", "untouched"): False,
        ("triple", "adds"): False,
    }
    assert all(v.right for v in verdicts.values())
    assert "likely    the square" in verdicts["double", "squares"].message


AWKWARD = """\
# %% misconception="loops" exercise="double"
# Forever.
def double(x):
    while True:
        pass

# %% misconception="dies" exercise="double"
# Takes the process along.
import os
os._exit(0)

# %% misconception="leaves" exercise="double"
# Says it is done.
raise SystemExit(0)

# %% alternative="noisy" exercise="double"
# Prints a lot and changes what others see, which no other case may notice.
check.equal = None
print("x" * 100_000)
import llmsys.check as _fresh
import importlib
check = importlib.reload(_fresh)
def double(x):
    return 2 * x

# %% misconception="half" exercise="triple"
# Judged after all the above.
def triple(x):
    return x * 1.5
"""


def test_no_case_disturbs_another(write_lesson):
    _, verdicts = judge(write_lesson(cases=AWKWARD), seconds=2)
    assert all(v.right for v in verdicts.values()), [v for v in verdicts.values() if not v.right]
    assert verdicts["double", "loops"].message == "stopped after 2 s"
    assert verdicts["double", "dies"].message == "the process died"


@pytest.mark.parametrize(
    ("cases", "reason"),
    [
        ('# %% misconception="a" exercise="tripel"\n# why\n', "has no exercise 'tripel'"),
        ('# %% misconception="a"\n# why\n', "a case is marked"),
        ('# %% exercise="double"\n# why\n', "a case is marked"),
        ('# %% misconception="a" exercise="double"\nx = 1\n', "begins with a comment"),
        (
            '# %% misconception="a" exercise="double"\n# why\n\n# %% alternative="a" exercise="double"\n# why\n',
            "stands twice",
        ),
    ],
)
def test_a_malformed_case_is_refused(write_lesson, cases, reason):
    with pytest.raises(SourceError, match=reason):
        read_cases(read_lesson(write_lesson(cases=cases)))


def test_the_command_prints_json_and_fails_when_a_case_is_judged_wrong(write_lesson):
    path = write_lesson(
        cases=SMALL_CASES + '\n# %% misconception="is right" exercise="triple"\n# It is.\ntriple = (3).__mul__\n'
    )
    run = CliRunner().invoke(cli.app, ["cases", "--solutions", str(path.parent.parent), "--json"])
    assert run.exit_code == 1
    assert json.loads(run.stdout) == {
        "week/small": {
            "double": {"misconceptions": {"caught": 1, "all": 1}, "alternatives": {"accepted": 1, "all": 1}},
            "triple": {"misconceptions": {"caught": 1, "all": 2}, "alternatives": {"accepted": 0, "all": 0}},
        }
    }
    assert "“is right” passes" in run.stderr


def test_a_lesson_that_fails_its_own_tests_is_named(write_lesson):
    path = write_lesson(SMALL_LESSON.replace("return x * 3", "return x * 4"))
    with pytest.raises(SourceError, match=rf"{path}:\d+: does not run with the reference: CheckFailed: triple"):
        list(judge_lessons([path]))
