"""Bundle adjustment: cameras, points and, if wanted, one focal length, from where points were seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

HUBER_PX = 2.0
"""Errors beyond it count linearly."""


class Adjusted(NamedTuple):
    """What came out."""

    poses: F64
    """[c 4 4], world to camera."""
    points: F64
    focal: float
    errors: F64
    """Of each observation, pixels."""


def bundle_adjust(
    poses: F64, free: npt.NDArray[np.bool_], points: F64, camera: I64, point: I64, seen: F64, focal: float,
    free_focal: bool = False, rounds: int = 8,
) -> Adjusted:
    """Levenberg and Marquardt with Huber's weights on the cameras after points are eliminated (Triggs et al., 2000).

    Args:
        poses: [c 4 4], world to camera.
        free: which of them may move; at least one must not.
        points: [p 3], in world.
        camera, point: [o], whose observation of what each is.
        seen: [o 2], pixels from the principal point.
        focal: pixels.
        free_focal: find it as well.
    """
    column = np.cumsum(free) - 1
    size = 6 * int(free.sum()) + free_focal
    damping = 1e-4
    error = _error(poses, points, camera, point, seen, focal)
    for _ in range(rounds):
        off, p, turned = error.off, error.local, error.turned
        weight = 1 / np.maximum(1, np.linalg.norm(off, axis=1) / HUBER_PX)
        z = np.maximum(p[:, 2], 1e-3)
        slope = np.zeros((len(p), 2, 3))
        slope[:, 0, 0] = slope[:, 1, 1] = focal / z
        slope[:, 0, 2], slope[:, 1, 2] = -focal * p[:, 0] / z**2, -focal * p[:, 1] / z**2
        J_point = slope @ turned
        # A step of a camera: translation first, then a turn about its centre of coordinates.
        lever = np.zeros((len(p), 3, 6))
        lever[:, 0, 0] = lever[:, 1, 1] = lever[:, 2, 2] = 1
        lever[:, 0, 4], lever[:, 0, 5] = p[:, 2], -p[:, 1]
        lever[:, 1, 3], lever[:, 1, 5] = -p[:, 2], p[:, 0]
        lever[:, 2, 3], lever[:, 2, 4] = p[:, 1], -p[:, 0]
        J_camera = slope @ lever
        J = J_camera * free[camera][:, None, None]
        V = np.zeros((len(points), 3, 3))
        np.add.at(V, point, np.einsum("oai,o,oaj->oij", J_point, weight, J_point))
        g_point = np.zeros((len(points), 3))
        np.add.at(g_point, point, np.einsum("oai,o,oa->oi", J_point, weight, off))
        # Rows of the camera block that each observation touches: six of its camera, and the focal length.
        index = 6 * np.maximum(column[camera], 0)[:, None] + np.arange(6)
        if free_focal:
            J = np.concatenate((J, (p[:, :2] / z[:, None])[:, :, None]), axis=2)
            index = np.concatenate((index, np.full((len(p), 1), size - 1)), axis=1)
        H = np.zeros((size, size))
        np.add.at(H, (index[:, :, None], index[:, None, :]), np.einsum("oai,o,oaj->oij", J, weight, J))
        g = np.zeros(size)
        np.add.at(g, index, np.einsum("oai,o,oa->oi", J, weight, off))
        W = np.einsum("oai,o,oaj->oij", J, weight, J_point)  # [o 6(+1) 3]
        across = np.broadcast_to(3 * point[:, None, None] + np.arange(3), W.shape)
        down = np.broadcast_to(index[:, :, None], W.shape)
        E = csr_array((W.ravel(), (down.ravel(), across.ravel())), shape=(size, 3 * len(points)))
        while True:
            damped = V + damping * np.einsum("pij,ij->pij", V, np.eye(3)) + 1e-9 * np.eye(3)
            V_inv = np.linalg.inv(damped)
            first = np.arange(len(points) * 3).reshape(-1, 3)
            blocks = csr_array((V_inv.ravel(), (
                np.broadcast_to(first[:, :, None], V_inv.shape).ravel(),
                np.broadcast_to(first[:, None, :], V_inv.shape).ravel(),
            )), shape=(3 * len(points),) * 2)
            EV = E @ blocks
            S = H + damping * np.diag(np.diag(H)) + 1e-9 * np.eye(size) - (EV @ E.T).toarray()
            step = -np.linalg.solve(S, g - EV @ g_point.ravel())
            move = -np.einsum("pij,pj->pi", V_inv, g_point + (E.T @ step).reshape(-1, 3))
            new_focal = focal + float(step[-1]) if free_focal else focal
            new_poses = poses.copy()
            for c in np.flatnonzero(free):
                new_poses[c] = exponential(step[6 * column[c] : 6 * column[c] + 6]) @ poses[c]
            tried = _error(new_poses, points + move, camera, point, seen, new_focal)
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
    return Adjusted(poses, points, focal, np.linalg.norm(error.off, axis=1))


class _Error(NamedTuple):
    off: F64
    local: F64
    turned: F64
    cost: float


def _error(poses: F64, points: F64, camera: I64, point: I64, seen: F64, focal: float) -> _Error:
    turned = poses[camera, :3, :3]
    local = np.einsum("oij,oj->oi", turned, points[point]) + poses[camera, :3, 3]
    z = np.maximum(local[:, 2], 1e-3)
    off = focal * local[:, :2] / z[:, None] - seen
    size = np.linalg.norm(off, axis=1)
    cost = np.where(size < HUBER_PX, size**2, 2 * HUBER_PX * size - HUBER_PX**2).sum()
    return _Error(off, local, turned, float(cost))


def exponential(step: F64) -> F64:
    """A small rigid motion [4 4] from translation and rotation vector."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec(step[3:]).as_matrix(), step[:3]
    return T


def refine_pose(pose: F64, points: F64, seen: F64, focal: float, rounds: int = 8) -> tuple[F64, F64]:
    """One camera against points that stay: pose [4 4] and the errors of all observations, pixels."""
    for _ in range(rounds):
        p = points @ pose[:3, :3].T + pose[:3, 3]
        z = np.maximum(p[:, 2], 1e-3)
        off = focal * p[:, :2] / z[:, None] - seen
        weight = 1 / (1 + (off**2).sum(1) / HUBER_PX**2)
        u, v = p[:, 0] / z, p[:, 1] / z
        o = np.zeros_like(z)
        J = focal * np.stack((
            np.stack((1 / z, o, -u / z, -u * v, 1 + u**2, -v), 1), np.stack((o, 1 / z, -v / z, -1 - v**2, u * v, u), 1),
        ), 1)
        H = np.einsum("nai,n,naj->ij", J, weight, J) + 1e-9 * np.eye(6)
        pose = exponential(-np.linalg.solve(H, np.einsum("nai,n,na->i", J, weight, off))) @ pose
    p = points @ pose[:3, :3].T + pose[:3, 3]
    off = focal * p[:, :2] / np.maximum(p[:, 2:], 1e-3) - seen
    return pose, np.where(p[:, 2] > 0, np.linalg.norm(off, axis=1), np.inf)
