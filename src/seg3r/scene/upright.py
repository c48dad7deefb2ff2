"""Which way is up in a map, and along its walls."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Float64

from seg3r.scene.map import SceneMap

BIN_M, WALL_POINTS = 0.05, 20_000
"""Walls are looked for in bins of this width, with so many points."""
CONES_DEG, LEVEL_NORMALS = (35, 20, 10), 100
"""Normals within these angles of up, one after the other, say where up is; so many at least."""


def upright_axes(scene: SceneMap) -> Float64[np.ndarray, "3 3"]:
    """Of a map; see `room_axes`."""
    poses = np.array([k.camera.T_world_cam.numpy() for k in scene.keyframes]).reshape(-1, 4, 4)
    return room_axes(scene.points.numpy(), poses)


def room_axes(
    points: Float32[np.ndarray, "n 3"], poses: Float64[np.ndarray, "c 4 4"],
    normals: Float[np.ndarray, "m 3"] | None = None,
) -> Float64[np.ndarray, "3 3"]:
    """Rows: two horizontal axes and up, in world; right-handed. Up follows from how the camera was held, whose x axis
    stays level while it turns; the horizontal axes follow the walls. Without poses z is up.

    Args:
        poses: camera to world.
        normals: of flat places, where they are known: up is then drawn to those that nearly lie level. A camera that
            hardly turned, or looks down on a table, leans.
    """
    if not len(poses):
        return np.eye(3)
    across, down = poses[:, :3, 0], poses[:, :3, 1].mean(0)
    # Where it never turned, any axis across x is as level: then the image's own up decides.
    level = across.T @ across / len(across) - 0.1 * np.outer(down, down)
    up = np.linalg.eigh(level)[1][:, 0]
    up = -up if up @ down > 0 else up
    if normals is not None:
        up = _drawn_to_level(up, normals)
    side = np.cross(up, np.eye(3)[int(np.abs(up).argmin())])
    side /= np.linalg.norm(side)
    flat = np.stack((side, np.cross(up, side)))
    ahead = wall_direction(points.astype(np.float64)[:: max(1, len(points) // WALL_POINTS)] @ flat.T) @ flat
    return np.stack((ahead, np.cross(up, ahead), up))


def _drawn_to_level(up: Float64[np.ndarray, "3"], normals: Float[np.ndarray, "m 3"]) -> Float64[np.ndarray, "3"]:
    for degrees in CONES_DEG:
        near = normals[normals @ up > np.cos(np.radians(degrees))].astype(np.float64)
        if len(near) >= LEVEL_NORMALS:
            up = near.mean(0) / np.linalg.norm(near.mean(0))
    return up


def wall_direction(plan: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "2"]:
    """Unit vector along the walls of a plan, the longer ones if they differ: there the points fall into fewest bins."""
    best, most = np.array((1.0, 0.0)), -1.0
    for angle in np.radians(np.arange(0, 90, 1.0)):
        turned = plan @ np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
        bins = np.floor(turned / BIN_M).astype(np.int64)
        crowd = sum(float((np.bincount(b - b.min()) ** 2).sum()) for b in bins.T) if len(bins) else 0.0
        if crowd > most:
            longer = len(turned) > 0 and np.ptp(turned[:, 0]) < np.ptp(turned[:, 1])
            along = angle + np.pi / 2 if longer else angle
            best, most = np.array((np.cos(along), np.sin(along))), crowd
    return best
