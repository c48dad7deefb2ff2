"""Whose a point is."""

from __future__ import annotations

import numpy as np

from seg3r.scene.nearest import best_owner

NONE = float("nan")


def owner_of(shares: list[tuple[int, int]], given: list[float]) -> int:
    """Of one point, with (hits, views) of the owners 0, 1 ..., listed in both orders."""
    rows, zeros = np.arange(len(shares)), np.zeros(len(shares), np.int64)
    hits, views = np.array(shares, np.int32).T
    found = {
        int(best_owner(rows[o], zeros, hits[o], views[o], np.array(given, np.float32), 1)[0])
        for o in (rows, rows[::-1])
    }
    assert len(found) == 1
    return found.pop()


def test_the_more_consistent_owner_has_the_point() -> None:
    assert owner_of([(3, 4), (1, 1)], [NONE, NONE]) == 1
    assert owner_of([(3, 4), (1, 1)], [0.9, 0.1]) == 1, "also before a score from outside"


def test_between_equals_the_older_however_often_it_was_hit() -> None:
    assert owner_of([(1, 2), (50, 100)], [NONE, NONE]) == 0


def test_between_equals_a_score_from_outside_comes_before_age() -> None:
    assert owner_of([(1, 1), (1, 1), (1, 1)], [0.5, 0.8, 0.8]) == 1


def test_nobody_owns_a_point_without_edges() -> None:
    empty = np.zeros(0, np.int64)
    counts = np.zeros(0, np.int32)
    assert best_owner(empty, empty, counts, counts, np.zeros(0, np.float32), 2).tolist() == [-1, -1]
