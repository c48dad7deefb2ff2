"""Poses from matches: exact where matches are, in spite of wrong ones, and none where nothing can be told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from seg3r.reconstruct.pose import beyond_turning, distance, epipolar_errors, pnp, triangulated, two_views

FOCAL = 400.0
rng = np.random.default_rng(0)
WORLD = rng.uniform((-2, -1.5, 2), (2, 1.5, 6), (300, 3))


def T_cam_world(turn_deg: tuple[float, float, float], place: tuple[float, float, float]) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    T[:3, 3] = -T[:3, :3] @ np.array(place)
    return T


def seen(T: np.ndarray) -> np.ndarray:
    local = WORLD @ T[:3, :3].T + T[:3, 3]
    return FOCAL * local[:, :2] / local[:, 2:]


def with_wrong(pixels: np.ndarray, share: float) -> np.ndarray:
    out = pixels.copy()
    wrong = np.random.default_rng(1).random(len(out)) < share
    out[wrong] = np.random.default_rng(2).uniform(-300, 300, (int(wrong.sum()), 2))
    return out


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(a[:3, :3] @ b[:3, :3].T).magnitude()))


SIDE = T_cam_world((3, -5, 2), (0.5, 0.1, 0.05))


def test_two_views_give_the_pose_up_to_scale() -> None:
    found = two_views(seen(np.eye(4)), with_wrong(seen(SIDE), 0.25), FOCAL)
    assert found is not None
    scale = 1 / np.linalg.norm(SIDE[:3, 3])
    assert degrees_between(found.T_cam_world, SIDE) < 0.05
    np.testing.assert_allclose(found.T_cam_world[:3, 3], SIDE[:3, 3] * scale, atol=5e-3)
    np.testing.assert_allclose(found.points, WORLD[found.good] * scale, rtol=0.02, atol=0.02)
    assert found.good.sum() > 200


def test_a_turn_on_the_spot_is_no_start() -> None:
    noise = np.random.default_rng(3).normal(0, 0.3, (len(WORLD), 2))
    assert two_views(seen(np.eye(4)), seen(T_cam_world((3, -5, 2), (0, 0, 0))) + noise, FOCAL) is None
    assert two_views(seen(np.eye(4)), seen(T_cam_world((3, -5, 2), (0, 0, 0.02))) + noise, FOCAL) is None


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_known_points_give_the_pose_although_many_are_wrong(seed: int) -> None:
    found = pnp(with_wrong(seen(SIDE), 0.4), WORLD, FOCAL, seed)
    assert found is not None
    assert distance(found, SIDE) < 1e-3 and degrees_between(found, SIDE) < 0.05


def test_too_few_or_contradictory_points_give_none() -> None:
    assert pnp(seen(SIDE)[:13], WORLD[:13], FOCAL) is None
    assert pnp(np.random.default_rng(4).uniform(-300, 300, (40, 2)), WORLD[:40], FOCAL) is None


def test_points_come_back_and_those_without_parallax_are_not_believed() -> None:
    points, usable = triangulated(np.eye(4), SIDE, seen(np.eye(4)), seen(SIDE), focal=FOCAL, least_parallax=1.5)
    assert usable.all()
    np.testing.assert_allclose(points, WORLD, atol=1e-6)
    near = T_cam_world((0, 0, 0), (0.01, 0, 0))
    assert not triangulated(np.eye(4), near, seen(np.eye(4)), seen(near), focal=FOCAL, least_parallax=1.5)[1].any()
    beside = seen(SIDE) + np.array((0, 40))  # off the epipolar lines
    assert triangulated(np.eye(4), SIDE, seen(np.eye(4)), beside, focal=FOCAL, least_parallax=1.5)[1].mean() < 0.05


def test_evidence_of_motion() -> None:
    turned = T_cam_world((3, -5, 2), (0, 0, 0))
    assert beyond_turning(seen(np.eye(4)) / FOCAL, seen(turned) / FOCAL).max() < 1e-6
    assert np.median(beyond_turning(seen(np.eye(4)) / FOCAL, seen(SIDE) / FOCAL)) > 0.01
    x, y, z = SIDE[:3, 3]
    essential = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0))) @ SIDE[:3, :3]
    assert epipolar_errors(essential, seen(np.eye(4)) / FOCAL, seen(SIDE) / FOCAL).max() < 1e-9
