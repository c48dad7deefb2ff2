from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.errors import InputError
from seg3r.metrics.transfer import transfer


def lists(*args: object, **kwargs: object) -> list[list[int]]:
    return [one.tolist() for one in transfer(*args, **kwargs)]  # type: ignore[arg-type]


POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])


def test_a_vertex_takes_all_owners_of_its_nearest_point() -> None:
    owners = np.array([[0, 0], [1, 0], [1, 2]])  # point 1 has no owner
    vertices = np.array([[0.1, 0, 0], [0.9, 0, 0], [1.1, 0, 0], [2.5, 0, 0], [5, 0, 0]])
    assert lists(POINTS, owners, vertices, 1.0, 3) == [[0], [0, 3], []]
    assert lists(POINTS, owners, vertices, 0.4, 3) == [[0], [0], []]
    assert lists(POINTS, owners, vertices, 0.5, 3) == [[0], [0, 3], []]  # 0.5 itself is near enough


def test_an_owned_point_hardly_further_than_an_unowned_one_decides() -> None:
    owners = np.array([[0, 0], [1, 0], [1, 2]])
    vertices = np.array([[0.1, 0, 0], [0.9, 0, 0], [1.1, 0, 0], [2.5, 0, 0], [5, 0, 0]])
    assert lists(POINTS, owners, vertices, 1.0, 3, margin_m=0.7) == [[0], [0, 3], []]
    assert lists(POINTS, owners, vertices, 1.0, 3, margin_m=0.81) == [[0, 1], [0, 1, 2, 3], []]


def test_nothing() -> None:
    no_owner = np.empty((0, 2), np.int64)
    assert lists(POINTS, no_owner, POINTS, 1.0, 2) == [[], []]
    assert lists(POINTS, np.array([[0, 0]]), np.empty((0, 3)), 1.0, 1) == [[]]
    assert lists(np.empty((0, 3)), no_owner, POINTS, 1.0, 0) == []
    assert lists(POINTS, np.array([[0, 0]]), POINTS + 9, 1.0, 1) == [[]]


def test_bad_input() -> None:
    for owners in ([[3, 0]], [[0, 3]], [[-1, 0]]):
        with pytest.raises(InputError, match="owners"):
            transfer(POINTS, np.array(owners), POINTS, 1.0, 3)
    with pytest.raises(InputError, match="max_dist_m"):
        transfer(POINTS, np.array([[0, 0]]), POINTS, 0.0, 1)
    with pytest.raises(InputError, match="finite"):
        transfer(POINTS * np.nan, np.array([[0, 0]]), POINTS, 1.0, 1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 40), st.floats(0.05, 1.0), st.floats(0.0, 0.5)
)
def test_against_the_definition(seed: int, n: int, v: int, max_dist: float, margin: float) -> None:
    rng = np.random.default_rng(seed)
    points, vertices = rng.random((n, 3)), rng.random((v, 3))
    owners = np.argwhere(rng.random((4, n)) < 0.3)
    got = lists(points, owners, vertices, max_dist, 4, margin)

    want: list[list[int]] = [[] for _ in range(4)]
    owned = np.unique(owners[:, 1])
    for i, vertex in enumerate(vertices):
        distance = np.linalg.norm(points[owned] - vertex, axis=1)
        rival = np.linalg.norm(np.delete(points, owned, axis=0) - vertex, axis=1).min(initial=np.inf)
        rival = rival if rival <= max_dist else np.inf
        if len(owned) and distance.min() <= min(max_dist, rival + margin):
            for e in np.flatnonzero(owners[:, 1] == owned[distance.argmin()]):
                want[owners[e, 0]].append(i)
    assert got == want


def test_a_rigid_motion_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    points, vertices = rng.random((200, 3)), rng.random((300, 3))
    owners = np.stack((rng.integers(0, 5, 200), np.arange(200)), axis=1)
    R = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = lists(points @ R.T + 4, owners, vertices @ R.T + 4, 0.1, 5)
    assert moved == lists(points, owners, vertices, 0.1, 5)
    assert sum(map(len, moved)) > 100
