"""Lines of hidden tests and of the reference: found wherever they are quoted, and no others."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from autograder.withhold import WITHHELD, Secrets, inside, without_hidden

SOURCE = """def double(x):
    ### BEGIN SOLUTION
    return x + x  # twice
    y
    ### END SOLUTION
"""
RELEASE = new_notebook(cells=[new_code_cell("def double(x):\n    raise NotImplementedError('shown to all')")])
SECRETS = Secrets.of([*inside(SOURCE), "    raise NotImplementedError('shown to all')"], RELEASE)


def test_secret_is_what_tells_something_and_is_not_released() -> None:
    assert SECRETS.lines == {"return x + x # twice"}


@pytest.mark.parametrize(
    "quoted",
    [
        "return x + x  # twice",
        "      return x  +  x # twice",
        "# return x + x  # twice",
        "----> 3     return x + x  # twice",
        "      3     return x + x  # twice",
        "\x1b[1;32mreturn\x1b[0m x \x1b[38;5;241m+\x1b[39m x  # twice",
        "the answer is `return x + x  # twice`, it says",
    ],
)
def test_found_however_it_is_quoted(quoted: str) -> None:
    assert SECRETS.found_in(f"before\n{quoted}\nafter")
    assert SECRETS.without(f"before\n{quoted}\nafter") == f"before\n{WITHHELD}\nafter"


def test_what_a_student_wrote_is_no_secret_to_them() -> None:
    assert not SECRETS.but_for(["def double(x):\n    return x + x # twice"]).lines


def test_a_text_without_secrets_stays_as_it_is() -> None:
    assert SECRETS.without("  return x\n\n\x1b[0m") == "  return x\n\n\x1b[0m"


@pytest.mark.parametrize("block", ["HIDDEN TESTS", "MARK SCHEME", "SOLUTION"])
def test_blocks_are_cut_and_an_end_that_is_missing_is_the_end(block: str) -> None:
    assert without_hidden(f"a\n### BEGIN {block}\nb\n### END {block}\nc") == "a\nc"
    assert without_hidden(f"a\n### BEGIN {block}\nb") == "a"
    assert list(inside(f"a\n### BEGIN {block}\nb")) == ["b"]
