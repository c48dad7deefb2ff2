"""A thinned point cloud for the page's viewer: a few bytes per point."""

from __future__ import annotations

import base64
from typing import TypedDict

import numpy as np
from jaxtyping import Float32, Int64

from seg3r.describe.colors import instance_colors
from seg3r.report.render import RoomFrame
from seg3r.scene import SceneMap

MOST_POINTS = 110_000


class Cloud(TypedDict):
    """What `viewer.js` reads. The bytes are base64 of little-endian arrays."""

    count: int
    scale: float
    """Metres per unit of `positions`."""
    spacing: float
    """Metres between neighbouring points."""
    cut: float
    """Height above which nothing is drawn at first, metres in the viewer's axes."""
    positions: str
    """int16 [count 3]: along one wall, along the next, up; 0 is the middle of the cloud."""
    colors: str
    """uint8 [count 3]."""
    normals: str
    """int8 [count 3], 0 0 0 where there is no plane."""
    instances: str
    """uint16 [count]: position in `ids` + 1, 0 = none."""
    ids: list[int]
    names: list[str]
    palette: list[list[int]]


def pack_cloud(scene: SceneMap, room: RoomFrame, names: list[str]) -> Cloud:
    """At most `MOST_POINTS` points, evenly spread, in the room's axes. The map must have points.

    Args:
        names: what to call each instance, in the order of `scene.ids`.
    """
    points = scene.points.numpy()
    keep, spacing = thin(points, scene.voxel_m)
    standing = points[keep].astype(np.float64) @ room.axes.T
    middle = (standing.min(0) + standing.max(0)) / 2
    half = float(np.abs(standing - middle).max())
    scale = max(half / 32767, 1e-9)
    normals = np.where(room.surface.flat[keep, None], room.surface.normals[keep] @ room.axes.T, 0)
    owner = scene.best_owners.numpy()[keep] + 1
    return Cloud(
        count=len(keep), scale=scale, spacing=spacing, cut=min(room.ceiling_m - float(middle[2]), half),
        positions=_packed(np.rint((standing - middle) / scale), "<i2"),
        colors=_packed(scene.colors.numpy()[keep], "u1"),
        normals=_packed(np.rint(127 * normals), "i1"),
        instances=_packed(np.where(owner < 65536, owner, 0), "<u2"),
        ids=scene.ids.tolist(), names=names, palette=instance_colors(scene.ids).tolist(),
    )


def thin(points: Float32[np.ndarray, "n 3"], voxel_m: float) -> tuple[Int64[np.ndarray, "p"], float]:
    """One point per cell of a grid as coarse as need be, ascending; and the edge of its cells."""
    cell_m, keep = voxel_m, np.arange(len(points))
    while len(keep) > MOST_POINTS:
        cell_m *= 1.15
        cells = np.floor(points / cell_m).astype(np.int64)
        cells -= cells.min(0)
        span = cells.max(0) + 1
        keys = (cells[:, 0] * span[1] + cells[:, 1]) * span[2] + cells[:, 2]
        keep = np.sort(np.unique(keys, return_index=True)[1])
    return keep.astype(np.int64), float(cell_m)


def _packed(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values.astype(dtype)).tobytes()).decode("ascii")
