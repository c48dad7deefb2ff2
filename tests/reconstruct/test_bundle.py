"""Bundle adjustment on synthetic cameras."""

from __future__ import annotations

import numpy as np

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
    done = bundle_adjust(shaken(poses, free), free, moved, camera, point, seen, FOCAL, rounds=20)
    assert np.abs(done.poses - poses).max() < 1e-3 and np.abs(done.points - points).max() < 1e-2
    assert np.array_equal(done.poses[:2], poses[:2]) and done.focal == FOCAL


def test_a_wrong_focal_length_is_found() -> None:
    poses, points, camera, point, seen = world(0.3)
    free = np.array([False, True, True, True, True])
    done = bundle_adjust(poses, free, points, camera, point, seen, 430.0, free_focal=True, rounds=40)
    assert abs(done.focal / FOCAL - 1) < 0.03 and float(done.errors.mean()) < 0.6


def test_wild_observations_do_not_pull() -> None:
    poses, points, camera, point, seen = world(0.3)
    wild = seen.copy()
    wild[::25] += 60
    free = np.array([False, False, True, True, True])
    done = bundle_adjust(shaken(poses, free), free, points, camera, point, wild, FOCAL, rounds=20)
    assert np.abs(done.poses - poses).max() < 0.03
    assert float(np.median(np.delete(done.errors, np.arange(0, len(wild), 25)))) < 1


def test_one_camera_against_known_points() -> None:
    poses, points, camera, _, seen = world()
    rows = camera == 3
    pose, errors = refine_pose(exponential(np.full(6, 0.02)) @ poses[3], points, seen[rows], FOCAL)
    assert np.allclose(pose, poses[3], atol=1e-5) and float(errors.max()) < 1e-2
