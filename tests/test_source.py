"""A malformed source is refused with file, line and reason."""

from __future__ import annotations

import re

import pytest

from autograder.source import SourceError, find_lessons, read_lesson
from tests.conftest import SMALL_LESSON


def test_a_sound_lesson_is_read(lesson):
    assert lesson.id == "week/small"
    assert lesson.title == "Small numbers"
    kinds = "prose given exercise test explore given exercise test question"
    assert [cell.kind for cell in lesson.cells] == kinds.split()
    double = lesson.of_kind("exercise")[0]
    assert (double.name, double.minutes, double.difficulty, lesson.test_of("double").points) == ("double", 1, 1, 2)
    assert double.inside("SOLUTION") == ["    return x + x"]
    assert "return" not in double.without("SOLUTION")


SOLUTION = "### BEGIN SOLUTION\nhalf = 0\n### END SOLUTION\n"


def broken(old: str, new: str) -> str:
    assert SMALL_LESSON.count(old) >= 1
    return SMALL_LESSON.replace(old, new, 1)


MALFORMED = {
    "test without an exercise": (broken('test="double"', 'test="trouble"'), "test 'trouble' has no exercise"),
    "exercise without a test": (
        broken('# %% test="triple" points=1', "# %%").replace(
            '### BEGIN HIDDEN TESTS\ncheck.equal(triple(-5), -15, "triple(a negative number)")\n### END HIDDEN TESTS\n',
            "",
        ),
        "exercise 'triple' has no test",
    ),
    "doubled exercise": (broken('exercise="triple"', 'exercise="double"'), "exercise 'double' stands already in line"),
    "doubled test": (broken('test="triple"', 'test="double"'), "test 'double' stands already in line"),
    "solution left open": (broken("    ### END SOLUTION\n", ""), "BEGIN SOLUTION is never ended"),
    "solution ended twice": (
        broken("    ### END SOLUTION\n", "    ### END SOLUTION\n" * 2),
        "END SOLUTION without its BEGIN",
    ),
    "nested blocks": (
        broken("    return x + x\n", "    ### BEGIN SOLUTION\n"),
        "BEGIN SOLUTION inside the SOLUTION block",
    ),
    "points missing": (broken('test="double" points=2', 'test="double"'), "points missing"),
    "points zero": (broken("points=2", "points=0"), "points=0: a number above 0"),
    "points a word": (broken("points=2", 'points="two"'), "points='two': a number above 0"),
    "minutes missing": (broken(" minutes=1", ""), "minutes missing"),
    "difficulty six": (broken("difficulty=1", "difficulty=6"), "a number above 0 and at most 5"),
    "hidden block outside a test": (
        broken("triple_of_two = 6", "### BEGIN HIDDEN TESTS\ntriple_of_two = 6\n### END HIDDEN TESTS"),
        "a HIDDEN TESTS block belongs in a test cell",
    ),
    "solution outside an exercise": (
        broken("triple_of_two = 6", "### BEGIN SOLUTION\ntriple_of_two = 6\n### END SOLUTION"),
        "a SOLUTION block belongs in an exercise cell",
    ),
    "block mark with something behind it": (
        broken("### END SOLUTION", "### END SOLUTION!"),
        "stands alone on its line",
    ),
    "no solution": (
        broken("    ### BEGIN SOLUTION\n    return x + x\n    ### END SOLUTION\n", "    return 0\n"),
        "has no SOLUTION block",
    ),
    "nothing visible": (broken('check.equal(double(2), 4, "double(2)")\n', ""), "has no visible part"),
    "no mark scheme": (
        broken(
            "#\n# ### BEGIN MARK SCHEME\n# Full points for naming the successor function.\n# ### END MARK SCHEME\n", ""
        ),
        "has no MARK SCHEME block",
    ),
    "hidden name that a later cell could use": (
        broken("_x = int", "x = int").replace("(_x)", "(x)"),
        "hidden test defines 'x'",
    ),
    "unknown mark": (broken("minutes=1", "minuets=1"), "unknown mark 'minuets'"),
    "two roles": (broken('test="double"', 'exercise="double" test="double"'), "one role"),
    "a name with a blank": (broken('exercise="double"', 'exercise="my double"'), "a name is a Python identifier"),
    "an exercise in markdown": (
        broken('# %% exercise="double"', '# %% [markdown] exercise="double"'),
        "is a code cell",
    ),
    "a question in code": (broken("# %% [markdown] question", "# %% question"), "is a markdown cell"),
    "syntax error": (broken("triple_of_two = 6", "triple_of_two = "), "syntax error"),
    "no check": (broken("from llmsys import check", "import llmsys"), "from llmsys import check"),
    "no title": (broken("# # Small numbers", "# Small numbers"), "begins with the title"),
    "text before the first mark": ("import os\n" + SMALL_LESSON, "starts with a cell mark"),
    "test of another exercise in between": (
        broken('# %% test="double"', f'# %% exercise="half" minutes=1 difficulty=1\n{SOLUTION}\n# %% test="double"'),
        "has no test",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_source_is_refused(write_lesson, name):
    source, reason = MALFORMED[name]
    path = write_lesson(source)
    with pytest.raises(SourceError) as caught:
        read_lesson(path)
    assert reason in str(caught.value)
    assert re.match(rf"{re.escape(str(path))}:\d+: ", str(caught.value))


def test_the_line_is_the_one_to_look_at(write_lesson):
    path = write_lesson(broken("triple_of_two = 6", "triple_of_two = = 6"))
    with pytest.raises(SourceError) as caught:
        read_lesson(path)
    assert path.read_text().splitlines()[caught.value.line - 1] == "triple_of_two = = 6"


def test_what_is_no_text_is_refused(write_lesson):
    path = write_lesson()
    path.write_bytes(b"# %%\n\xff\xfe")
    with pytest.raises(SourceError, match="not UTF-8"):
        read_lesson(path)


def test_lessons_are_found_by_assignment_by_name_and_by_both(write_lesson):
    path = write_lesson(cases="# %%\n")
    solutions = path.parent.parent
    for wanted in ([], ["week"], ["small"], ["week/small"], ["week", "small"]):
        assert find_lessons(solutions, wanted) == [path]
    with pytest.raises(FileNotFoundError, match=r"no lesson or assignment called 'large'.*there is: week/small"):
        find_lessons(solutions, ["large"])


def test_a_comment_that_looks_like_a_command_stays_a_comment(write_lesson):
    lesson = read_lesson(write_lesson(broken("triple_of_two = 6", "# ls is short for list\n# why?\ntriple_of_two = 6")))
    assert lesson.cells[5].source.startswith("# ls is short for list\n# why?\n")
