"""A check tells right from wrong, and its message teaches."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from llmsys import check
from llmsys.check import CheckFailed


def message(function, *args, **kwargs) -> str:
    with pytest.raises(CheckFailed) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_close_accepts_rounding_and_no_more():
    x = np.linspace(-1, 1, 1001)
    check.close(np.sum(x[::-1] ** 2), np.sum(x**2), "sum of squares", terms=1001)
    check.close(np.float32(0.1) + np.float32(0.2), 0.3, "float32 sum")
    message(check.close, 1 + 1e-12, 1.0, "f()")
    message(check.close, np.zeros(3), np.full(3, 1e-3), "f()")


def test_a_float32_answer_to_a_float64_question_is_not_close():
    x = np.random.default_rng(0).standard_normal(50)
    text = message(check.close, (x.astype(np.float32) * 3).astype(np.float64), x * 3, "triple(x)")
    assert "wrong" in text
    message(check.close, x.astype(np.float32), x, "f(x)")
    check.close(torch.tensor([0.1, 0.2]), [0.1, 0.2], "f()")  # a plain list asks for no more than the answer can hold


def test_a_sum_that_cancels_is_measured_by_its_terms():
    message(check.close, (1e8 + 0.1) - 1e8, 0.1, "f()")
    check.close((1e8 + 0.1) - 1e8, 0.1, "f()", scale=1e8)


def test_close_shows_the_first_difference():
    want = np.arange(6.0).reshape(2, 3)
    got = want.copy()
    got[1, 0] = 7
    text = message(check.close, got, want, "f(x)")
    assert text.startswith("f(x)\n  1 of 6 entries are wrong; the first is at [1, 0]\n  got       7\n  expected  3\n")


def test_close_names_the_misconception():
    text = message(check.close, 9.0, 6.0, "f(3)", likely={"the square": 9.0, "the cube": 27.0}, hint="count again")
    assert "likely    the square" in text
    assert "hint      count again" in message(
        check.close, 8.0, 6.0, "f(3)", likely={"the square": 9.0}, hint="count again"
    )


@pytest.mark.parametrize("wrong", [None, "text", object(), {"a": 1}, [[1.0], [2.0, 3.0]], np.array(["a"])])
def test_close_says_what_came_when_it_is_no_array(wrong):
    assert "got" in message(check.close, wrong, np.zeros(2), "f()")


def test_close_looks_at_shape_and_dtype():
    assert "shape     (3, 1)" in message(check.close, np.zeros((3, 1)), np.zeros(3), "f()")
    assert "dtype     float32" in message(check.close, np.zeros(3, np.float32), np.zeros(3), "f()", dtype="float64")
    check.close(torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2), "f()", dtype=torch.bfloat16)


def test_close_knows_nan_and_infinity():
    values = np.array([np.nan, np.inf, -np.inf, 1.0])
    check.close(values.copy(), values, "f()")
    message(check.close, np.array([0.0, np.inf, -np.inf, 1.0]), values, "f()")
    message(check.close, np.array([np.nan, -np.inf, -np.inf, 1.0]), values, "f()")
    message(check.close, np.array([np.nan] * 4), np.ones(4), "f()")


def test_close_takes_lists_and_tensors():
    check.close([1.0, 2.0], np.array([1.0, 2.0]), "f()")
    check.close(torch.ones(2, requires_grad=True), [1.0, 1.0], "f()")


def test_a_difference_that_ten_digits_do_not_show_is_shown():
    assert "got       6.0000000000001" in message(check.close, 6 + 1e-13, 6.0, "f()")


def test_a_missing_return_is_named():
    assert "likely    nothing was returned" in message(check.close, None, 6.0, "f()", hint="count again")
    assert "likely    nothing was returned" in message(check.equal, None, [6], "f()")


def test_equal():
    check.equal([1, (2, 3)], [1, (2, 3)], "f()")
    check.equal(np.int64(3), 3, "f()")
    check.equal(np.arange(3), np.arange(3), "f()")
    assert "got       [1]\n  expected  [2]\n  likely    off by one" in message(
        check.equal, [1], [2], "f()", likely={"off by one": [1]}
    )


def test_an_equality_that_is_no_plain_truth_value_is_refused():
    class Equal:
        def __eq__(self, other):
            return np.array([True, True])

        __hash__ = None

    with pytest.raises(ValueError, match="ambiguous"):
        check.equal(Equal(), 3, "f()")


def test_raises():
    check.raises(ValueError, "int('a')", int, "a")
    assert "returned  1" in message(check.raises, ValueError, "int('1')", int, "1")
    assert "raised    TypeError" in message(check.raises, ValueError, "int([])", int, [])


def test_unchanged_sees_a_write_in_place():
    x, t = np.ones(3), torch.ones(3)
    with check.unchanged("f(x)", x, t):
        x + t.numpy()

    def writes(a):
        with check.unchanged("f(x)", x, t):
            a *= 2

    assert "changed its input in place" in message(writes, x)
    assert "changed its input in place" in message(writes, t)


def test_forbid_refuses_and_restores():
    def takes_a_short_cut():
        with check.forbid("torch.nn.functional.softmax", "torch.Tensor.backward", because="write it by hand"):
            torch.nn.functional.softmax(torch.ones(2), 0)

    assert "torch.nn.functional.softmax was called: write it by hand" in message(takes_a_short_cut)
    assert torch.nn.functional.softmax(torch.ones(2), 0).sum() == 1
    with pytest.raises(ImportError, match="nothing called"), check.forbid("torhc.exp", because="typo"):
        pass


def test_using_stands_in_and_restores(monkeypatch):
    answers = {"helper": "the answer's"}
    monkeypatch.setattr(check, "answers", answers)
    with check.using(helper="a stand-in", message=None):
        assert answers == {"helper": "a stand-in", "message": None}
        assert (helper, message) == ("a stand-in", None)  # noqa: F821 - put there by the line above
    assert answers == {"helper": "the answer's"}
    assert callable(message)
    assert "helper" not in globals()


def test_calls_counts():
    with check.calls("numpy.exp") as n:
        np.exp(0)
        np.exp(1)
    assert n() == 2


def test_passed_counts_the_checks_of_its_cell(capsys):
    check.passed("before")
    check.that(True, "")
    check.equal(1, 1, "f()")
    check.passed("double")
    check.passed("empty")
    assert capsys.readouterr().out.splitlines()[1:] == ["double: 2 checks passed.", "empty: 0 checks passed."]


def test_the_count_starts_anew_after_a_cell_that_crashed():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        shell.run_cell("from llmsys import check; check.that(True, ''); 1 / 0", store_history=True)
        shell.run_cell("check.that(True, ''); count = check._count", store_history=True)
        assert shell.user_ns["count"] == 1
    finally:
        InteractiveShell.clear_instance()


def test_a_failure_is_shown_without_its_stack():
    text = CheckFailed("f(x)\n  wrong")._render_traceback_()
    assert text == ["\x1b[31mCheckFailed\x1b[0m: f(x)\n  wrong"]


def test_the_seed_can_be_set_and_is_fresh_otherwise():
    def draw(**environment):
        code = "from llmsys import check; print(check.rng().integers(2**40))"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        return run.stdout

    assert draw(LLMSYS_SEED="3") == draw(LLMSYS_SEED="3")
    assert draw() != draw()
