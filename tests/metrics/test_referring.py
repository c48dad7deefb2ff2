"""Verdicts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seg3r.metrics.referring import OneMask, accuracies, judge, one_mask, share_reaching


@pytest.mark.parametrize(
    ("said", "right", "hit", "exact", "f1"),
    [
        ((3,), {3}, True, True, 1.0),
        ((3, 3), {3}, True, True, 1.0),
        ((3, 4), {3}, True, False, 2 / 3),
        ((4, 3), {3}, False, False, 2 / 3),
        ((3,), {3, 4}, True, False, 2 / 3),
        ((4, 3), {3, 4}, True, True, 1.0),
        ((), {3}, False, False, 0.0),
        ((0,), {3}, False, False, 0.0),
    ],
)
def test_a_question_with_answers(said: tuple[int, ...], right: set[int], hit: bool, exact: bool, f1: float) -> None:
    verdict = judge("relation", said, right)
    assert (verdict.kind, verdict.hit, verdict.exact) == ("relation", hit, exact)
    assert verdict.f1 == pytest.approx(f1)


def test_where_nothing_is_right_silence_is() -> None:
    silent, loud = judge("function", (), ()), judge("function", (0,), ())
    assert (silent.kind, silent.hit, silent.exact, silent.f1) == ("none", True, True, 1.0)
    assert (loud.kind, loud.hit, loud.exact, loud.f1) == ("none", False, False, 0.0)


def test_means_by_kind() -> None:
    verdicts = [judge("attribute", (1,), {1}), judge("attribute", (2,), {1}), judge("attribute", (), ())]
    told = accuracies(verdicts, ("attribute", "relation"))
    expected = {"attribute": 0.5, "relation": math.nan, "none": 1, "all": 2 / 3}
    assert told["accuracy"] == pytest.approx(expected, nan_ok=True)
    assert told["count"] == {"attribute": 2, "relation": 0, "none": 1, "all": 3}


def test_all_that_was_named_as_one_mask() -> None:
    named, meant = np.zeros(10, np.bool_), np.zeros(10, np.bool_)
    assert one_mask(named, meant) == OneMask(0.0, 0.0)
    named[:4], meant[2:8] = True, True
    assert one_mask(named, meant) == OneMask(2 / 8, 2 / 4)
    assert one_mask(~named, ~named) == OneMask(1.0, 1.0)


def test_shares_count_what_reaches() -> None:
    assert share_reaching([0.5, 0.25, 0.0]) == pytest.approx(0.25)
    assert (share_reaching([0.5, 0.25, 0.0], 0.25), share_reaching([0.5, 0.25, 0.0], 0.5)) == (2 / 3, 1 / 3)
    assert math.isnan(share_reaching([], 0.5))
