"""A made-up walk: a lap round a room of points with a descriptor each, and a similarity by which it may slide."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from seg3r.reconstruct.closing import GAP, carried_pose
from seg3r.reconstruct.features import Features
from seg3r.reconstruct.point_map import PointMap, PoseKeyframe

FOCAL, HALF = 400.0, np.array((320.0, 240.0))
LAP = 60
SLID = np.eye(4)
SLID[:3, :3] = 0.8 * Rotation.from_rotvec((0.03, 0.15, -0.02)).as_matrix()
SLID[:3, 3] = 0.2, -0.05, 0.1


def camera(step: int) -> np.ndarray:
    """World to camera: on a circle, looking out."""
    turn = Rotation.from_rotvec((0, 2 * np.pi * step / LAP, 0)).as_matrix()
    T = np.eye(4)
    T[:3, :3] = turn.T
    T[:3, 3] = -turn.T @ (turn @ np.array((0, 0.02 * np.sin(step), 0.8)))
    return T


def walk(steps: int = LAP + 4, count: int = 1500) -> PointMap:
    """Everything true; a point has another name when it is seen again after `GAP` frames."""
    rng = np.random.default_rng(0)
    way, up, far = rng.uniform(0, 2 * np.pi, count), rng.uniform(-1.2, 1.2, count), rng.uniform(2.5, 4.5, count)
    world = np.stack((far * np.sin(way), up, far * np.cos(way)), 1)
    descriptors = rng.normal(size=(count, 128)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    names = np.full(count, -1)
    last_seen = np.full(count, -(10**6))
    origin: list[int] = []
    keyframes = []
    for step in range(steps):
        T = camera(step)
        local = world @ T[:3, :3].T + T[:3, 3]
        at = FOCAL * local[:, :2] / local[:, 2:]
        rows = np.flatnonzero((local[:, 2] > 0.1) & (np.abs(at) < HALF).all(1))
        new = rows[step - last_seen[rows] > GAP]
        names[new] = len(origin) + np.arange(len(new))
        origin += new.tolist()
        last_seen[rows] = step
        keyframes.append(PoseKeyframe(step, T, Features(at[rows], descriptors[rows]), names[rows].copy()))
    return PointMap(FOCAL, False, keyframes, world[origin].copy(), descriptors[origin].copy())


def slid(known: PointMap, since: int) -> PointMap:
    """The same walk, all that is first seen from `since` on moved by the inverse of `SLID`."""
    back = np.linalg.inv(SLID)
    before = np.unique(np.concatenate([k.point for k in known.keyframes[:since]]))
    later = np.setdiff1d(np.arange(len(known.points)), before)
    known.points[later] = known.points[later] @ back[:3, :3].T + back[:3, 3]
    for keyframe in known.keyframes[since:]:
        keyframe.T_cam_world = carried_pose(keyframe.T_cam_world, back)
        keyframe.point[np.isin(keyframe.point, before)] = -1  # a blurred stretch: nothing is known on both sides
    return known
