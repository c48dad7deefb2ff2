"""Bundle adjustment on synthetic cameras."""

from __future__ import annotations

import numpy as np

from seg3r.kernels import bundle as kernels
from seg3r.reconstruct.bundle import bundle_adjust, exponential, refine_pose

FOCAL = 480.0


def world(noise_px: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Poses, points, and who saw what where."""
    rng = np.random.default_rng(0)
    points = np.stack((rng.uniform(-3, 3, 150), rng.uniform(-2, 2, 150), rng.uniform(2, 7, 150)), 1)
    poses = np.stack([exponential(np.array([-0.15 * c, 0.02 * c, 0.03 * c, 0, 0.03 * c, 0])) for c in range(5)])
    camera, point = (each.ravel() for each in np.meshgrid(np.arange(5), np.arange(150), indexing="ij"))
    local = np.einsum("oij,oj->oi", poses[camera][:, :3, :3], points[point]) + poses[camera][:, :3, 3]
    seen = FOCAL * local[:, :2] / local[:, 2:] + rng.normal(0, noise_px, (len(camera), 2))
    return poses, points, camera, point, seen


def shaken(poses: np.ndarray, free: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    steps = rng.normal(0, 0.02, (len(poses), 6)) * free[:, None]
    return np.stack([exponential(step) @ T for step, T in zip(steps, poses, strict=True)])


def test_what_was_shaken_comes_back() -> None:
    poses, points, camera, point, seen = world()
    free = np.array([False, False, True, True, True])
    moved = points + np.random.default_rng(2).normal(0, 0.05, points.shape)
    done = bundle_adjust(
        shaken(poses, free), free, moved, camera=camera, point=point, pixels=seen, focal=FOCAL, rounds=20
    )
    assert np.abs(done.poses - poses).max() < 1e-3 and np.abs(done.points - points).max() < 1e-2
    assert np.array_equal(done.poses[:2], poses[:2]) and done.focal == FOCAL


def test_a_wrong_focal_length_is_found() -> None:
    poses, points, camera, point, seen = world(0.3)
    free = np.array([False, True, True, True, True])
    done = bundle_adjust(
        poses, free, points, camera=camera, point=point, pixels=seen, focal=430.0, free_focal=True, rounds=40
    )
    assert abs(done.focal / FOCAL - 1) < 0.03 and float(done.errors.mean()) < 0.6


def test_wild_observations_do_not_pull() -> None:
    poses, points, camera, point, seen = world(0.3)
    wild = seen.copy()
    wild[::25] += 60
    free = np.array([False, False, True, True, True])
    done = bundle_adjust(
        shaken(poses, free), free, points, camera=camera, point=point, pixels=wild, focal=FOCAL, rounds=20
    )
    assert np.abs(done.poses - poses).max() < 0.03
    assert float(np.median(np.delete(done.errors, np.arange(0, len(wild), 25)))) < 1


def test_one_camera_against_known_points() -> None:
    poses, points, camera, _, seen = world()
    rows = camera == 3
    pose, errors = refine_pose(exponential(np.full(6, 0.02)) @ poses[3], points, seen[rows], focal=FOCAL)
    assert np.allclose(pose, poses[3], atol=1e-5) and float(errors.max()) < 1e-2


def test_points_are_eliminated_and_put_back_exactly() -> None:
    rng = np.random.default_rng(3)
    cameras, points, d = 4, 6, 7
    point = np.sort(rng.integers(0, points, 40))
    camera = rng.integers(0, cameras, 40)
    start = np.searchsorted(point, np.arange(points + 1))
    index = 6 * camera[:, None] + np.arange(6) - 6  # the first camera holds still
    index = np.concatenate((np.where(index < 0, -1, index), np.full((40, 1), 6 * cameras - 6)), axis=1)
    J, J_point = rng.normal(size=(40, 2, d)), rng.normal(size=(40, 2, 3))
    off, weight, damping = rng.normal(size=(40, 2)), rng.uniform(0.1, 1, 40), 0.01
    size = 6 * cameras - 5
    S, g = np.zeros((size, size)), np.zeros(size)
    V_inv, g_point = np.zeros((points, 3, 3)), np.zeros((points, 3))
    W, move = np.zeros((40, d, 3)), np.zeros((points, 3))
    kernels.eliminate(start, J, index, J_point, off, weight, damping, S, g, V_inv, g_point, W)
    step = -np.linalg.solve(S, g)
    kernels.substitute(start, index, W, V_inv, g_point, step, move)

    whole = np.zeros((80, size + 3 * points))
    for o in range(40):
        for a in np.flatnonzero(index[o] >= 0):
            whole[2 * o : 2 * o + 2, index[o, a]] += J[o, :, a]
        whole[2 * o : 2 * o + 2, size + 3 * point[o] : size + 3 * point[o] + 3] = J_point[o]
    weighted = whole * np.repeat(weight, 2)[:, None]
    H = weighted.T @ whole
    H += damping * np.diag(np.diag(H)) + 1e-9 * np.eye(len(H))
    dense = -np.linalg.solve(H, weighted.T @ off.ravel())
    np.testing.assert_allclose(step, dense[:size], atol=1e-7)
    np.testing.assert_allclose(move.ravel(), dense[size:], atol=1e-7)
