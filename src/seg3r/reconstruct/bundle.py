"""Bundle adjustment: cameras, points and, if wanted, one focal length, from where points were seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.spatial.transform import Rotation

from seg3r.kernels import bundle as kernels

HUBER_PX = 2.0
"""Errors beyond it count linearly."""


class Adjusted(NamedTuple):
    """What came out."""

    poses: Float64[np.ndarray, "c 4 4"]
    """World to camera."""
    points: Float64[np.ndarray, "p 3"]
    focal: float
    errors: Float64[np.ndarray, "o"]
    """Of each observation, pixels."""


def bundle_adjust(
    poses: Float64[np.ndarray, "c 4 4"],
    free: Bool[np.ndarray, "c"],
    points: Float64[np.ndarray, "p 3"],
    *,
    camera: Int64[np.ndarray, "o"],
    point: Int64[np.ndarray, "o"],
    pixels: Float64[np.ndarray, "o 2"],
    focal: float,
    free_focal: bool = False,
    rounds: int = 8,
) -> Adjusted:
    """Levenberg and Marquardt with Huber's weights on the cameras after points are eliminated (Triggs et al., 2000).

    Args:
        poses: world to camera.
        free: which of them may move; at least one must not.
        points: in world.
        camera, point: of each observation, whose it is and of what.
        pixels: where each was observed, from the principal point.
        focal: pixels.
        free_focal: find it as well.
    """
    order = np.argsort(point, kind="stable")
    camera, point, pixels = camera[order], point[order], pixels[order]
    start = np.searchsorted(point, np.arange(len(points) + 1))
    first = np.where(free, 6 * (np.cumsum(free) - 1), -6)[camera]
    size = 6 * int(free.sum()) + free_focal
    # The unknowns that each observation touches: six of its camera, and the focal length.
    index = np.where(first[:, None] < 0, -1, first[:, None] + np.arange(6))
    if free_focal:
        index = np.concatenate((index, np.full((len(point), 1), size - 1)), axis=1)
    damping = 1e-4
    error = _error(poses, points, camera, point, pixels, focal)
    for _ in range(rounds):
        J, J_point = _slopes(error.local, error.turned, focal, free_focal)
        weight: Float64[np.ndarray, "o"] = 1 / np.maximum(1, np.linalg.norm(error.off, axis=1) / HUBER_PX)
        while True:
            S, g = np.zeros((size, size)), np.zeros(size)
            V_inv, g_point = np.zeros((len(points), 3, 3)), np.zeros((len(points), 3))
            W, move = np.zeros((len(point), J.shape[2], 3)), np.zeros((len(points), 3))
            kernels.eliminate(start, J, index, J_point, error.off, weight, damping, S, g, V_inv, g_point, W)
            step = -np.asarray(np.linalg.solve(S, g), np.float64)
            kernels.substitute(start, index, W, V_inv, g_point, step, move)
            new_focal = focal + float(step[-1]) if free_focal else focal
            new_poses = poses.copy()
            for n, c in enumerate(np.flatnonzero(free)):
                new_poses[c] = exponential(step[6 * n : 6 * n + 6]) @ poses[c]
            tried = _error(new_poses, points + move, camera, point, pixels, new_focal)
            if tried.cost < error.cost and new_focal > 0:
                gain = 1 - tried.cost / error.cost
                poses, points, focal, error = new_poses, points + move, new_focal, tried
                damping = max(damping / 5, 1e-8)
                break
            damping *= 8
            if damping > 1e4:
                gain = 0.0
                break
        if gain < 1e-4:
            break
    errors = np.empty(len(point))
    errors[order] = np.linalg.norm(error.off, axis=1)
    return Adjusted(poses, points, focal, errors)


def _slopes(
    p: Float64[np.ndarray, "o 3"], turned: Float64[np.ndarray, "o 3 3"], focal: float, free_focal: bool
) -> tuple[Float64[np.ndarray, "o 2 d"], Float64[np.ndarray, "o 2 3"]]:
    """Of the errors, by the cameras' unknowns (six and, if it is free, the focal length) and by the points.

    A step of a camera: translation first, then a turn about its centre of coordinates.
    """
    z = np.maximum(p[:, 2], 1e-3)
    slope = np.zeros((len(p), 2, 3))
    slope[:, 0, 0] = slope[:, 1, 1] = focal / z
    slope[:, 0, 2], slope[:, 1, 2] = -focal * p[:, 0] / z**2, -focal * p[:, 1] / z**2
    lever = np.zeros((len(p), 3, 6))
    lever[:, 0, 0] = lever[:, 1, 1] = lever[:, 2, 2] = 1
    lever[:, 0, 4], lever[:, 0, 5] = p[:, 2], -p[:, 1]
    lever[:, 1, 3], lever[:, 1, 5] = -p[:, 2], p[:, 0]
    lever[:, 2, 3], lever[:, 2, 4] = p[:, 1], -p[:, 0]
    J = slope @ lever
    if free_focal:
        J = np.concatenate((J, (p[:, :2] / z[:, None])[:, :, None]), axis=2)
    return J, slope @ turned


class _Error(NamedTuple):
    off: Float64[np.ndarray, "o 2"]
    local: Float64[np.ndarray, "o 3"]
    turned: Float64[np.ndarray, "o 3 3"]
    cost: float


def _error(
    poses: Float64[np.ndarray, "c 4 4"], points: Float64[np.ndarray, "p 3"], camera: Int64[np.ndarray, "o"],
    point: Int64[np.ndarray, "o"], pixels: Float64[np.ndarray, "o 2"], focal: float,
) -> _Error:
    turned = poses[camera, :3, :3]
    local = np.einsum("oij,oj->oi", turned, points[point]) + poses[camera, :3, 3]
    z = np.maximum(local[:, 2], 1e-3)
    off = focal * local[:, :2] / z[:, None] - pixels
    size = np.linalg.norm(off, axis=1)
    cost = np.where(size < HUBER_PX, size**2, 2 * HUBER_PX * size - HUBER_PX**2).sum()
    return _Error(off, local, turned, float(cost))


def exponential(step: Float64[np.ndarray, "6"]) -> Float64[np.ndarray, "4 4"]:
    """A small rigid motion from translation and rotation vector."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec(step[3:]).as_matrix(), step[:3]
    return T


def refine_pose(
    T_cam_world: Float64[np.ndarray, "4 4"], points: Float64[np.ndarray, "n 3"], pixels: Float64[np.ndarray, "n 2"],
    *, focal: float, rounds: int = 8,
) -> tuple[Float64[np.ndarray, "4 4"], Float64[np.ndarray, "n"]]:
    """One camera against points that stay: its pose and the errors of all observations, pixels."""
    for _ in range(rounds):
        p = points @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
        z = np.maximum(p[:, 2], 1e-3)
        off = focal * p[:, :2] / z[:, None] - pixels
        weight = 1 / (1 + (off**2).sum(1) / HUBER_PX**2)
        u, v = p[:, 0] / z, p[:, 1] / z
        o = np.zeros_like(z)
        J = focal * np.stack((
            np.stack((1 / z, o, -u / z, -u * v, 1 + u**2, -v), 1), np.stack((o, 1 / z, -v / z, -1 - v**2, u * v, u), 1),
        ), 1)
        H = np.einsum("nai,n,naj->ij", J, weight, J) + 1e-9 * np.eye(6)
        T_cam_world = exponential(-np.linalg.solve(H, np.einsum("nai,n,na->i", J, weight, off))) @ T_cam_world
    p = points @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
    off = focal * p[:, :2] / np.maximum(p[:, 2:], 1e-3) - pixels
    return T_cam_world, np.where(p[:, 2] > 0, np.linalg.norm(off, axis=1), np.inf)
