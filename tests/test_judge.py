"""The judge believes values, not words."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from autograder.guest.plain import Encoder
from autograder.judge import Transcript, read

TOLERANCE = {"terms": 1.0, "scale": None, "rtol": None, "atol": None, "dtype": None}


def record(kind, *values, call="f(x)", **how):
    encoder = Encoder()
    encoded = [encoder.encode(value) for value in reversed(values)][::-1]
    return {"kind": kind, "call": call, "values": encoded, "how": how}


def close(got, want, **how):
    return record("close", got, want, **TOLERANCE | how)


RUN = [
    close(torch.ones(3), torch.ones(3)),
    record("equal", [1, 2], [1, 2]),
    record("that", True, call=""),
    record("raises", True),
]


def judge(records, finished=True, reference=None, again=None):
    reference = reference or RUN
    return Transcript(reference, again or copy.deepcopy(reference)).judge(records, finished)


def test_the_same_values_earn_everything():
    assert judge(copy.deepcopy(RUN)).share == 1
    assert judge([close(torch.ones(3) + 1e-7, torch.ones(3)), *RUN[1:]]).share == 1


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([], "ended before its last check"),
        (RUN[:3], "ended before its last check"),
        ([*RUN, RUN[2]], "more checks than the test has"),
        ([RUN[1], RUN[0], *RUN[2:]], "a check is not the one of the test"),
        ([close(torch.full((3,), 2.0), torch.full((3,), 2.0)), *RUN[1:]], "an expected value is not the one"),
        ([close(torch.full((3,), 2.0), torch.ones(3)), *RUN[1:]], "a check does not hold"),
        ([close(torch.ones(3) * math.nan, torch.ones(3)), *RUN[1:]], "a check does not hold"),
        ([*RUN[:2], record("that", False, call=""), RUN[3]], "a check does not hold"),
        ([*RUN[:2], record("that", 1, call=""), RUN[3]], "a check does not hold"),
        ([RUN[0], {"kind": "equal", "call": "f(x)", "values": "all of them"}, *RUN[2:]], "a check is not the one"),
        ([RUN[0], RUN[1] | {"values": [["what"], ["list", []]]}, *RUN[2:]], ""),
    ],
)
def test_anything_else_in_a_cell_that_ended_well_is_tampering(records, why):
    verdict = judge(records)
    assert verdict.share == 0
    assert verdict.tampered
    assert why in verdict.reason


def test_an_honest_failure_is_no_tampering():
    wrong = [close(torch.zeros(3), torch.ones(3))]
    assert judge(wrong, finished=False) == judge(wrong, finished=False)
    assert (judge(wrong, finished=False).share, judge(wrong, finished=False).tampered) == (0, False)
    assert not judge(RUN[:2], finished=False).tampered  # an exception of the answer's own
    assert not judge([RUN[1]], finished=False).tampered  # an earlier mistake led the test elsewhere


def test_a_tolerance_is_that_of_the_reference():
    wide = [close(torch.zeros(3), torch.ones(3), atol=math.inf), *RUN[1:]]
    assert judge(wide).share == 0


def test_what_differs_between_two_runs_of_the_reference_is_not_demanded():
    one, other = [record("equal", {140}, {140})], [record("equal", {150}, {150})]
    assert judge([record("equal", {7}, {7})], reference=one, again=other).share == 1
    assert judge([record("equal", {7}, {8})], reference=one, again=other).share == 0
    with pytest.raises(ValueError, match="different checks"):
        Transcript(RUN, RUN[:2])


def test_partial_credit_is_the_references_and_only_for_what_passed():
    reference = [RUN[0], record("credit", 0.25, call=""), RUN[1], record("credit", 0.5, call=""), RUN[2]]
    assert judge(reference, reference=reference).share == 1
    assert judge([*reference[:3]], finished=False, reference=reference).share == 0.25
    greedy = [RUN[0], record("credit", math.inf, call=""), record("equal", 1, 2)]
    assert judge(greedy, finished=False, reference=reference).share == 0.25


class Liar(list):
    def __eq__(self, other):
        return True

    def __len__(self):
        return 3

    def __iter__(self):
        return iter([1, 2])


class TensorLiar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return torch.ones(3)


class Anything:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def test_liars_are_read_by_what_they_are():
    assert read(Encoder().encode(Liar([7]))) == [7]
    lying = torch.zeros(3).as_subclass(TensorLiar)
    assert np.array_equal(read(Encoder().encode(lying)), np.zeros(3))
    assert judge([RUN[0], record("equal", Anything(), [1, 2]), *RUN[2:]]).share == 0
    objects = [record("equal", object(), object())]
    assert judge(objects, reference=[record("equal", *[Anything()] * 2)]).share == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (True, 1, True),
        ([1], (1,), False),
        ({1: [2.5, "ä\ud800"]}, {1: [2.5, "ä\ud800"]}, True),
        ({(1, 2), (3, 4)}, {(3, 4), (1, 2)}, True),
        (2**200, 2**200, True),
        (math.nan, math.nan, True),
        (b"\0", "\0", False),
        (np.float32(0.5), 0.5, True),
        (np.arange(3), np.arange(3), True),
        (np.arange(3), np.arange(4), False),
        (torch.float32, torch.float32, True),
        (torch.float32, torch.float64, False),
        (np.dtype("int64"), np.dtype(np.int64), True),
        (torch.Size([2, 3]), (2, 3), True),
        (range(3), [0, 1, 2], True),
        (None, 0, False),
        (len, len, True),
        (1 + 2j, 1 + 2j, True),
    ],
)
def test_equality_is_pythons(one, other, same):
    assert (judge([record("equal", one, other)], reference=[record("equal", other, other)]).share == 1) is same


def test_low_precision_is_demanded_of_its_own_dtype():
    want = torch.ones(3, dtype=torch.bfloat16)
    near = want + 2.0**-7
    assert judge([close(near, want)], reference=[close(want, want)]).share == 1
    assert judge([close(want + 0.5, want)], reference=[close(want, want)]).share == 0
    typed = [close(want, want, dtype="torch.bfloat16")]
    assert judge([close(want.float(), want, dtype="torch.bfloat16")], reference=typed).share == 0
