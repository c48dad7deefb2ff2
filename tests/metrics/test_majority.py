"""Which thing of the truth an instance is."""

from __future__ import annotations

import numpy as np
import pytest

from seg3r.metrics.majority import majority_labels

LABELS = np.array([0, 0, 3, 3, 3, 7, 7, 7, 7, 2])


def rows(*members: int) -> np.ndarray:
    return np.array(members, np.int64)


def test_the_label_that_most_members_bear() -> None:
    assert majority_labels([rows(2, 3, 4, 5), rows(5, 6, 7, 4)], LABELS) == [3, 7]


@pytest.mark.parametrize(("least", "label"), [(0.0, 3), (0.49, 3), (0.5, 0), (0.9, 0)])
def test_just_the_least_share_is_not_enough(least: float, label: int) -> None:
    assert majority_labels([rows(2, 3, 5, 9)], LABELS, least) == [label]  # two of four


def test_nothing_may_win_too() -> None:
    assert majority_labels([rows(0, 1, 2)], LABELS) == [0]
    assert majority_labels([rows(0, 1, 2)], LABELS, least=0.0) == [0]


def test_an_instance_of_nothing_is_nothing() -> None:
    assert majority_labels([rows(), rows(9)], LABELS, least=0.0) == [0, 2]
    assert majority_labels([], LABELS) == []


def test_a_tie_goes_to_the_smaller_label_in_any_order() -> None:
    for order in ((9, 2), (2, 9)):
        assert majority_labels([rows(*order)], LABELS, least=0.0) == [2]


def test_renaming_things_renames_the_answer_and_the_order_of_members_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 200)
    members = [rng.choice(200, size, replace=False) for size in (3, 20, 60)]
    found = majority_labels(members, labels, 0.2)
    assert majority_labels([rng.permutation(own) for own in members], labels, 0.2) == found
    renamed = np.array([0, 11, 12, 13, 14])
    assert majority_labels(members, renamed[labels], 0.2) == renamed[found].tolist()
