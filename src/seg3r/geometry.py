"""Pure functions of points, pixels and cameras.

Conventions: OpenCV axes, camera-to-world poses, metres; depth is the distance along the optical axis (not along the
ray); integer pixel coordinates are pixel centres. All take tensors where they are and keep their floating type.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64
from torch import Tensor

KEY_BITS = 21
"""Bits per axis of a voxel key: +-1,048,575 voxels, 20 km at 2 cm."""
NEAR_WORLD_M = 1000.0
"""A world whose first camera stands so near its origin needs no other: float32 tells 0.06 mm apart there."""
ORIGIN_STEP_M = 100.0
"""Origins of far worlds lie on this lattice: a recording moved onto it from near its world's origin is the same one
again, to the bit, and no camera starts further than half of this from its origin along an axis."""
STEPS_PER_M, STEP_FROM = 1e6, 0.5455
"""Where a camera stands is rounded to micrometres, up from this share of one: a double of 5,000 km is exact to a
nanometre only, and no decimal of up to eight digits lies so near the border between two steps that this matters."""


def pixel_grid(size: tuple[int, int], device: torch.device | None = None) -> Int64[Tensor, "H W 2"]:
    """(row, column) of every pixel."""
    rows = torch.arange(size[0], device=device)
    columns = torch.arange(size[1], device=device)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


def unproject(depth: Float[Tensor, "H W"], K: Float[Tensor, "3 3"]) -> Float[Tensor, "H W 3"]:
    """Depth to points in the camera's frame: x = (u - cx) z / fx, y = (v - cy) z / fy; 0 stays at the origin."""
    H, W = depth.shape
    K = K.to(depth.dtype)
    x = (torch.arange(W, device=depth.device, dtype=depth.dtype) - K[0, 2]) / K[0, 0]
    y = (torch.arange(H, device=depth.device, dtype=depth.dtype) - K[1, 2]) / K[1, 1]
    return torch.stack((x * depth, y[:, None] * depth, depth), dim=-1)


def world_rays(
    K: Float[Tensor, "3 3"], T_world_cam: Float[Tensor, "4 4"], size: tuple[int, int]
) -> tuple[Float32[Tensor, "W 3"], Float32[Tensor, "H 3"], Float32[Tensor, "3"]]:
    """The rays of a camera in the world, turned once instead of a point for each pixel: pixel (r, c) at depth d is
    d * (across[c] + down[r]) + eye.

    Returns:
        across, down, eye.
    """
    H, W = size
    R, t = T_world_cam[:3, :3], T_world_cam[:3, 3]
    x = (torch.arange(W, device=K.device) - K[0, 2]) / K[0, 0]
    y = (torch.arange(H, device=K.device) - K[1, 2]) / K[1, 1]
    across, down = x[:, None] * R[:, 0], y[:, None] * R[:, 1] + R[:, 2]
    return across.to(torch.float32), down.to(torch.float32), t.to(torch.float32)


def transform(T_to_from: Float[Tensor, "4 4"], points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Points of frame `from` expressed in frame `to`."""
    T_to_from = T_to_from.to(points.dtype)
    return points @ T_to_from[:3, :3].T + T_to_from[:3, 3]


def project(
    points_cam: Float[Tensor, "*n 3"], K: Float[Tensor, "3 3"]
) -> tuple[Float[Tensor, "*n 2"], Float[Tensor, "*n"]]:
    """Points in the camera's frame to (column, row) in pixels, and their depth. Behind the camera: depth <= 0."""
    z = points_cam[..., 2]
    K = K.to(points_cam.dtype)
    safe_z = torch.where(z > 0, z, torch.ones_like(z))
    u = points_cam[..., 0] / safe_z * K[0, 0] + K[0, 2]
    v = points_cam[..., 1] / safe_z * K[1, 1] + K[1, 2]
    return torch.stack((u, v), dim=-1), z


def nearest_pixels(
    uv: Float[Tensor, "*n 2"], z: Float[Tensor, "*n"], size: tuple[int, int]
) -> tuple[Int64[Tensor, "*n 2"], Bool[Tensor, "*n"]]:
    """(row, column) of the nearest pixel (half to even), and whether it lies in the image and in front."""
    rounded = torch.round(uv).to(torch.int64)
    column, row = rounded[..., 0], rounded[..., 1]
    inside = (z > 0) & (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    return torch.stack((row, column), dim=-1), inside


def visible(
    points_cam: Float[Tensor, "n 3"], K: Float[Tensor, "3 3"], depth: Float[Tensor, "H W"], tolerance: float
) -> tuple[Bool[Tensor, "n"], Int64[Tensor, "n 2"]]:
    """Which points a depth map confirms: inside the image and within `tolerance` of the depth measured there."""
    uv, z = project(points_cam, K)
    pixels, inside = nearest_pixels(uv, z, (depth.shape[0], depth.shape[1]))
    pixels = torch.where(inside[:, None], pixels, torch.zeros_like(pixels))
    measured = depth[pixels[:, 0], pixels[:, 1]].to(z.dtype)
    return inside & (measured > 0) & ((z - measured).abs() <= tolerance), pixels


def local_origin(position: Float64[Tensor, "3"]) -> Float64[Tensor, "3"]:
    """The origin of a map whose first camera stands at `position` in its world: zero, unless that is far away."""
    if float(position.abs().max()) <= NEAR_WORLD_M:
        return torch.zeros_like(position)
    return torch.round(position / ORIGIN_STEP_M) * ORIGIN_STEP_M


def narrowed(vertices: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Float32, where that is enough; vertices of a world far from its origin stay as they are."""
    far = len(vertices) and bool(local_origin(torch.tensor(vertices[0], dtype=torch.float64)).any())
    return vertices if far else vertices.astype(np.float32)


def rounded_pose(T_world_cam: Float64[Tensor, "4 4"]) -> Float64[Tensor, "4 4"]:
    """The pose with its place in whole micrometres: the same whether or not the world lies far away (`STEP_FROM`)."""
    T = T_world_cam.clone()
    T[:3, 3] = torch.floor(T_world_cam[:3, 3] * STEPS_PER_M + (1 - STEP_FROM)) / STEPS_PER_M
    return T


def pose_from(origin: Float64[Tensor, "3"], T_world_cam: Float64[Tensor, "4 4"]) -> Float64[Tensor, "4 4"]:
    """A camera's pose counted from another origin of the world, rounded; as it is where that is zero."""
    if not bool(origin.any()):
        return T_world_cam
    T = T_world_cam.clone()
    T[:3, 3] -= origin
    return rounded_pose(T)


def voxel_coordinates(points: Float[Tensor, "*n 3"], voxel_m: float) -> Int64[Tensor, "*n 3"]:
    """Integer coordinates of the voxel each point lies in."""
    return torch.floor(points / voxel_m).to(torch.int64)


def voxel_keys(coordinates: Int[Tensor, "*n 3"]) -> Int64[Tensor, "*n"]:
    """One number per voxel; the inverse is `voxel_from_keys`. Coordinates must lie in +-2^20."""
    shifted = coordinates.to(torch.int64) + (1 << (KEY_BITS - 1))
    return (shifted[..., 0] << (2 * KEY_BITS)) | (shifted[..., 1] << KEY_BITS) | shifted[..., 2]


def voxel_from_keys(keys: Int64[Tensor, "*n"]) -> Int64[Tensor, "*n 3"]:
    """Inverse of `voxel_keys`."""
    low = (1 << KEY_BITS) - 1
    parts = (keys >> (2 * KEY_BITS), (keys >> KEY_BITS) & low, keys & low)
    return torch.stack(parts, dim=-1) - (1 << (KEY_BITS - 1))


def invert(T_to_from: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
    """The full matrix inverse: stored rotations are orthonormal to a few digits only, so a transpose would not do."""
    inverse: Tensor = torch.linalg.inv(T_to_from)
    return inverse


def rigid(R: Float[Tensor, "3 3"], t: Float[Tensor, "3"]) -> Float[Tensor, "4 4"]:
    """[R t; 0 1]."""
    T = torch.eye(4, dtype=R.dtype, device=R.device)
    T[:3, :3] = R
    T[:3, 3] = t
    return T


def look_at(eye: Float[Tensor, "3"], target: Float[Tensor, "3"], up: Float[Tensor, "3"]) -> Float[Tensor, "4 4"]:
    """Camera-to-world of a camera at `eye` that looks at `target`, image up along `up`."""
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=0)
    down = torch.linalg.cross(forward, right)
    return rigid(torch.stack((right, down, forward), dim=1), eye)


def mask_iou(a: Bool[Tensor, "m n"], b: Bool[Tensor, "k n"]) -> Float[Tensor, "m k"]:
    """Intersection over union of every pair of masks; 0 for two empty ones."""
    fa, fb = a.to(torch.float32), b.to(torch.float32)
    intersection = fa @ fb.T
    union = fa.sum(1)[:, None] + fb.sum(1)[None, :] - intersection
    return intersection / union.clamp_min(1)


def box_iou_3d(a: Float[Tensor, "m 6"], b: Float[Tensor, "k 6"]) -> Float[Tensor, "m k"]:
    """Of axis-aligned boxes given as (low corner, high corner); 0 where both are flat."""
    low = torch.maximum(a[:, None, :3], b[None, :, :3])
    high = torch.minimum(a[:, None, 3:], b[None, :, 3:])
    intersection = (high - low).clamp_min(0).prod(-1)
    volume_a = (a[:, 3:] - a[:, :3]).prod(-1)
    volume_b = (b[:, 3:] - b[:, :3]).prod(-1)
    union = volume_a[:, None] + volume_b[None, :] - intersection
    return torch.where(union > 0, intersection / union, torch.zeros_like(union))
