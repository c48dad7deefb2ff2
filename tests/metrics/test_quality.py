from __future__ import annotations

import math

import numpy as np

from seg3r.metrics.quality import IdStability, Quality, id_stability, quality


def test_perfect() -> None:
    assert quality(np.diag([5, 9]), np.array([5, 9]), np.array([5, 9])) == Quality(1.0, 1.0, 1.0)


def test_a_merge_is_impure_but_complete() -> None:
    merged = quality(np.array([[6, 4]]), np.array([10]), np.array([6, 4]))
    assert merged == Quality(0.6, 1.0, 1.0)


def test_a_split_is_pure_but_incomplete() -> None:
    split = quality(np.array([[6], [4]]), np.array([6, 4]), np.array([10]))
    assert split == Quality(1.0, 0.6, 2.0)


def test_what_lies_outside_all_truth_is_impure() -> None:
    spilt = quality(np.array([[5]]), np.array([20]), np.array([5]))
    assert (spilt.purity, spilt.completeness) == (0.25, 1.0)
    assert math.isnan(spilt.fragments)  # it lies mostly on nothing


def test_nothing() -> None:
    none, some = np.empty(0, np.int64), np.array([7])
    assert math.isnan(quality(np.empty((0, 0), np.int64), none, none).purity)
    missed = quality(np.empty((0, 1), np.int64), none, some)
    assert math.isnan(missed.purity) and missed.completeness == 0
    invented = quality(np.empty((1, 0), np.int64), some, none)
    assert invented.purity == 0 and math.isnan(invented.completeness)
    assert quality(np.array([[0], [7]]), np.array([0, 7]), some) == Quality(1.0, 1.0, 1.0)  # an empty one is no one


def test_id_stability() -> None:
    things = np.array([1, 2, 1, 2, 1, 2, 1, 3])
    ids = np.array([4, 5, 4, 6, 4, 5, 9, -1])
    # thing 1: 4 4 4 9; thing 2: 5 6 5; thing 3 was never matched
    assert id_stability(things, ids) == IdStability(2.0, 1.5, (3 / 4 + 2 / 3) / 2)
    assert id_stability(np.array([1, 1, 2]), np.array([0, 0, 1])) == IdStability(1.0, 0.0, 1.0)
    assert math.isnan(id_stability(np.array([1]), np.array([-1])).consistency)
