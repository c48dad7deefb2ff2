"""Superpoints and normals of bare clouds."""

from __future__ import annotations

import numpy as np
import pytest

from seg3r.errors import InputError
from seg3r.superpoints.cloud import cloud_superpoints, estimated_normals, neighbour_edges


def box_room(seed: int = 0) -> np.ndarray:
    """A floor, and a box of half a metre standing on it; 12,000 points."""
    rng = np.random.default_rng(seed)
    floor = np.column_stack((rng.uniform(-1, 1, (6000, 2)), np.zeros(6000)))
    floor = floor[~((np.abs(floor[:, :2]) < 0.25).all(1))]
    sides = []
    for axis in (0, 1):
        for end in (-0.25, 0.25):
            side = np.column_stack((rng.uniform(-0.25, 0.25, 1200), np.full(1200, end), rng.uniform(0, 0.5, 1200)))
            sides.append(side if axis else side[:, [1, 0, 2]])
    top = np.column_stack((rng.uniform(-0.25, 0.25, (1200, 2)), np.full(1200, 0.5)))
    return np.concatenate((floor, *sides, top)).astype(np.float32)


def test_normals_of_a_box_stand_on_its_faces_and_agree() -> None:
    points = box_room()
    normals = estimated_normals(points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    floor = (points[:, 2] == 0) & (np.abs(points[:, :2]) > 0.35).any(1)
    assert np.abs(normals[floor, 2]).min() > 0.99
    assert abs(np.sign(normals[floor, 2]).mean()) == 1  # one side of a floor is up


def test_no_superpoint_crosses_an_edge_of_the_box() -> None:
    points = box_room()
    labels = cloud_superpoints(points)
    assert labels.shape == (len(points),) and labels[0] == 0
    top = (points[:, 2] == 0.5) & (np.abs(points[:, :2]) < 0.2).all(1)
    floor = (points[:, 2] == 0) & (np.abs(points[:, :2]) > 0.35).any(1)
    assert not set(labels[top].tolist()) & set(labels[floor].tolist())


def test_normals_follow_a_permutation_and_a_rigid_motion() -> None:
    points = box_room()
    normals, order = estimated_normals(points), np.random.default_rng(1).permutation(len(points))
    away = np.abs(points[:, 2] - 0.25) < 0.2  # of an edge
    again = estimated_normals(points[order])
    assert np.abs((again * normals[order]).sum(1))[away[order]].min() > 0.999
    turned = estimated_normals((points[:, [2, 0, 1]] + 3).astype(np.float32))
    assert np.abs((turned * normals[:, [2, 0, 1]]).sum(1))[away].min() > 0.999


def test_neighbours_are_the_nearest_others() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [3, 0, 0], [7, 0, 0]], np.float32)
    assert neighbour_edges(points, 2).tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 1], [2, 0], [3, 2], [3, 1]]


def test_too_small_or_broken_clouds_are_refused() -> None:
    with pytest.raises(InputError, match="needs more than"):
        cloud_superpoints(np.zeros((3, 3), np.float32))
    broken = box_room()
    broken[7, 1] = np.nan
    with pytest.raises(InputError, match="point 7 is not finite"):
        cloud_superpoints(broken)
