"""Pictures of a point cloud from outside, like those of a doll's house: what turns its back on the viewer is cut away.

Numbers in, pixels out; no window, no graphics card. Worlds come with any axis up: which one is read off the cameras
that made the map and the planes they saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Int64, UInt8

from seg3r.geometry import look_at
from seg3r.kernels import splat as kernels
from seg3r.scene import SceneMap
from seg3r.scene.upright import room_axes
from seg3r.types import Camera

FLAT = 0.35
"""A neighbourhood is a plane if its thickness is so little of its second extent (standard deviations)."""
NORMAL_M = 0.1
"""Edge of the cells whose points, with those of the 26 cells around, give one normal."""
BACKS_COS = -0.1
"""Planes that look away from the viewer by more than this are cut away."""
HEADROOM_M = 0.3
"""What hangs higher than this above the highest camera is cut away: ceilings and lamps."""
STRAY = 0.002
"""Share of the points on each side of each axis that a picture may leave out."""
CORNERS = (("Corner", 40.0), ("Next corner", 140.0), ("Opposite corner", 220.0))
"""Degrees from the short side of the room."""
DOWNWARD = 0.75
"""How steeply those look down: the tangent."""
FIELD_OF_VIEW = np.radians(32.0)
SUPERSAMPLE = 2
BACKGROUND = (20, 22, 26)
NEAR_M = 1e-3
LIGHT_REACH, LIGHT_STRENGTH = (1, 2, 4, 7), 36.0
"""Of the eye-dome lighting: pixels of the picture; as dark as still lets colours be told apart."""


@dataclass(frozen=True, eq=False)
class OrientedPoints:
    """How the neighbourhood of each point lies."""

    normals: Float32[np.ndarray, "n 3"]
    """Unit vectors in world, towards the camera that saw the point."""
    flat: Bool[np.ndarray, "n"]
    """Whether it is a plane; elsewhere the normal is a guess."""


@dataclass(frozen=True, eq=False)
class RoomFrame:
    """How a map stands in its world."""

    surface: OrientedPoints
    axes: Float64[np.ndarray, "3 3"]
    """Rows: along one wall, along the next, up."""
    ceiling_m: float
    """Height (along up, in world) above which things hang in the way of a view from above; infinite if unknown."""


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """One side to see the map from, and the points that are not in the way."""

    name: str
    camera: Camera
    keep: Bool[np.ndarray, "n"]


@dataclass(frozen=True, eq=False)
class Raster:
    """Which point each pixel shows: the colours may come later, and more than once."""

    index: Int32[np.ndarray, "h w"]
    """-1 = none; `SUPERSAMPLE` times as fine as the picture."""
    light: Float32[np.ndarray, "h w"]
    """0..1."""

    def picture(
        self, colors: UInt8[np.ndarray, "n 3"], background: tuple[int, int, int] = BACKGROUND
    ) -> UInt8[np.ndarray, "H W 3"]:
        """The picture of points of these colours."""
        # One row more than there are points: index -1 finds the background there.
        palette = np.concatenate((colors, np.array([background], np.uint8))).astype(np.float32)
        image = palette[self.index] * self.light[..., None]
        h, w = self.index.shape
        blocks = image.reshape(h // SUPERSAMPLE, SUPERSAMPLE, w // SUPERSAMPLE, SUPERSAMPLE, 3)
        picture: UInt8[np.ndarray, "H W 3"] = np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
        return picture


def rasterise(points: Float32[np.ndarray, "n 3"], camera: Camera, radius_m: float) -> Raster:
    """Draw points as discs, nearest on top, lit by depth alone.

    Args:
        points: in world.
        radius_m: of the discs: some 0.9 of the points' spacing closes the gaps.
    """
    H, W = camera.size
    large = camera.scaled((H * SUPERSAMPLE, W * SUPERSAMPLE))
    K, T_world_cam = large.K.numpy(), large.T_world_cam.numpy()
    points_cam = ((points - T_world_cam[:3, 3]) @ T_world_cam[:3, :3]).astype(np.float32)
    depth, index = np.full(large.size, np.inf, np.float32), np.full(large.size, -1, np.int32)
    kernels.splat(points_cam, K[0, 0], K[1, 1], K[0, 2], K[1, 2], radius_m, NEAR_M, depth, index)
    light = np.empty(large.size, np.float32)
    kernels.eye_dome(depth, np.array(LIGHT_REACH, np.int32) * SUPERSAMPLE, LIGHT_STRENGTH, light)
    return Raster(index, light)


def render_cloud(
    points: Float32[np.ndarray, "n 3"],
    colors: UInt8[np.ndarray, "n 3"],
    camera: Camera,
    radius_m: float,
    background: tuple[int, int, int] = BACKGROUND,
) -> UInt8[np.ndarray, "H W 3"]:
    """A picture of the camera's size; see `rasterise`."""
    return rasterise(points, camera, radius_m).picture(colors, background)


def surface(
    points: Float32[np.ndarray, "n 3"], eyes: Float[np.ndarray, "n 3"], cell_m: float = NORMAL_M
) -> OrientedPoints:
    """The plane through each point's surroundings: the least axis of their covariance.

    Args:
        eyes: from where each point was seen; normals point there.
        cell_m: every cell of this edge takes one plane, from its points and those of the cells around it.
    """
    if not len(points):
        return OrientedPoints(np.zeros((0, 3), np.float32), np.zeros(0, np.bool_))
    cells, inverse = _cells(points, cell_m)
    local = points.astype(np.float64) - points.mean(0, dtype=np.float64)
    sums = np.empty((len(cells), 10))
    sums[:, 0] = np.bincount(inverse, minlength=len(cells))
    products = [local[:, i] * local[:, j] for i in range(3) for j in range(i, 3)]
    for column, values in enumerate((*local.T, *products), 1):
        sums[:, column] = np.bincount(inverse, weights=values, minlength=len(cells))
    sums = _with_neighbours(cells, sums)
    mean = sums[:, 1:4] / sums[:, :1]
    covariance = np.empty((len(cells), 3, 3))
    for (i, j), column in zip(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)), range(4, 10), strict=True):
        covariance[:, i, j] = covariance[:, j, i] = sums[:, column] / sums[:, 0] - mean[:, i] * mean[:, j]
    extents, axes = np.linalg.eigh(covariance)
    thickness, width = np.sqrt(extents[:, :2].clip(0)).T
    flat = (sums[:, 0] >= 12) & (thickness < FLAT * width)
    normals = axes[:, :, 0][inverse]
    away = ((eyes - points) * normals).sum(1) < 0
    normals[away] *= -1
    return OrientedPoints(normals.astype(np.float32), flat[inverse])


def _cells(
    points: Float32[np.ndarray, "n 3"], cell_m: float
) -> tuple[Int64[np.ndarray, "c 3"], Int64[np.ndarray, "n"]]:
    """The occupied cells in ascending order, and the one of each point."""
    grid = np.floor(points / cell_m).astype(np.int64)
    low, high = grid.min(0), grid.max(0)
    span = high - low + 3  # one free cell around, so that neighbours never wrap
    keys = ((grid[:, 0] - low[0] + 1) * span[1] + (grid[:, 1] - low[1] + 1)) * span[2] + grid[:, 2] - low[2] + 1
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return grid[first], inverse.reshape(-1).astype(np.int64)


def _with_neighbours(cells: Int64[np.ndarray, "c 3"], sums: Float64[np.ndarray, "c s"]) -> Float64[np.ndarray, "c s"]:
    """Each row plus the rows of the 26 cells around."""
    low = cells.min(0) - 1
    span = cells.max(0) - low + 2
    at = cells - low
    keys = (at[:, 0] * span[1] + at[:, 1]) * span[2] + at[:, 2]
    total = np.zeros_like(sums)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            for dz in (-1, 0, 1):
                wanted = keys + (dx * span[1] + dy) * span[2] + dz
                found = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
                there = keys[found] == wanted
                total[there] += sums[found[there]]
    return total


def fit_camera(
    points: Float32[np.ndarray, "n 3"],
    direction: Float64[np.ndarray, "3"],
    up: Float64[np.ndarray, "3"],
    size: tuple[int, int],
) -> Camera:
    """The nearest camera that looks along `direction` and has every point in its picture, with a small margin."""
    H, W = size
    focal = W / 2 / np.tan(FIELD_OF_VIEW / 2)
    K = torch.tensor([[focal, 0, (W - 1) / 2], [0, focal, (H - 1) / 2], [0, 0, 1]], dtype=torch.float64)
    T = look_at(torch.zeros(3, dtype=torch.float64), torch.from_numpy(direction), torch.from_numpy(up))
    R = T[:3, :3].numpy()
    local = points.astype(np.float64) @ R
    # Four planes through each point bound the eye: x - s z and -x - s z, likewise y, give its place and distance.
    eye = np.zeros(3)
    back = []
    for axis, pixels in ((0, W), (1, H)):
        slope = 0.94 * pixels / 2 / focal
        high, low = (local[:, axis] - slope * local[:, 2]).max(), (-local[:, axis] - slope * local[:, 2]).max()
        eye[axis] = (high - low) / 2
        back.append((high + low) / (2 * slope))
    eye[2] = -max(back)
    T[:3, 3] = torch.from_numpy(R @ eye)
    return Camera(K, T, size)


def read_room(scene: SceneMap) -> RoomFrame:
    """How the map stands, from its points and keyframes. A map without either is a room all the same."""
    points, (frames, poses) = scene.points.numpy(), _cameras(scene)
    known = len(poses) > 0 and len(points) > 0
    eyes = poses[:, :3, 3][_nearest(frames, scene.pixels.numpy()[:, 0])] if known else points
    shape = surface(points, eyes, max(NORMAL_M, 4 * scene.voxel_m))
    axes = room_axes(points, poses, shape.normals[shape.flat].astype(np.float64))
    ceiling_m = float((poses[:, :3, 3] @ axes[2]).max()) + HEADROOM_M if known else np.inf
    if known and not (points @ axes[2] < ceiling_m).any():
        ceiling_m = np.inf
    return RoomFrame(shape, axes, ceiling_m)


def viewpoints(points: Float32[np.ndarray, "n 3"], room: RoomFrame, size: tuple[int, int]) -> list[Viewpoint]:
    """From above and from three corners; none of a map without points."""
    if not len(points):
        return []
    standing = points @ room.axes.T
    low, high = np.quantile(standing, (STRAY, 1 - STRAY), axis=0)
    below = standing[:, 2] < room.ceiling_m
    inside = ((standing >= low) & (standing <= high)).all(1) & below
    framed = points[inside if inside.any() else below]
    # The walls' axes are known up to quarter turns: the longer side goes across the picture.
    across = room.axes[0] if high[0] - low[0] >= high[1] - low[1] else room.axes[1]
    up = room.axes[2]
    ahead = np.cross(up, across)
    sides = [("From above", -up, ahead)]
    for name, degrees in CORNERS:
        level = np.cos(np.radians(degrees)) * ahead + np.sin(np.radians(degrees)) * across
        sides.append((name, level - DOWNWARD * up, up))
    found = []
    for name, direction, upward in sides:
        camera = fit_camera(framed, direction, upward, size)
        towards = camera.T_world_cam[:3, 3].numpy() - points
        facing = (towards * room.surface.normals).sum(1) / np.linalg.norm(towards, axis=1).clip(1e-9)
        found.append(Viewpoint(name, camera, below & ~(room.surface.flat & (facing < BACKS_COS))))
    return found


def _cameras(scene: SceneMap) -> tuple[Int64[np.ndarray, "c"], Float64[np.ndarray, "c 4 4"]]:
    """Frames and poses of the keyframes, by frame."""
    keyframes = sorted(scene.keyframes, key=lambda k: k.frame_index)
    frames = np.array([k.frame_index for k in keyframes], np.int64)
    return frames, np.array([k.camera.T_world_cam.numpy() for k in keyframes], np.float64).reshape(-1, 4, 4)


def _nearest(values: Int64[np.ndarray, "c"], wanted: Int[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Position of the value nearest to each wanted one, values ascending."""
    right = np.searchsorted(values, wanted).clip(0, len(values) - 1)
    left = np.maximum(right - 1, 0)
    nearest: Int64[np.ndarray, "n"] = np.where(wanted - values[left] <= values[right] - wanted, left, right)
    return nearest
