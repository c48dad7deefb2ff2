"""The inner loops of the procedural world's sensor and of its labelled cloud."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


@njit(cache=True, nogil=True)
def projector_shadow(depth: F32, shift: float, shadow: Bool) -> None:
    """Pixels that a projector to the camera's right cannot light: their column in it is taken by something nearer.

    shift: focal length times baseline, pixel metres; a pixel at depth z moves by shift / z.
    """
    H, W = depth.shape
    for y in range(H):
        lowest = 1e9
        for x in range(W - 1, -1, -1):
            shadow[y, x] = False
            if depth[y, x] <= 0:
                continue
            column = x - shift / depth[y, x]
            if column >= lowest + 0.5:
                shadow[y, x] = True
            lowest = min(lowest, column)


@njit(cache=True, nogil=True)
def measure(
    depth: F32, cosine: F32, shadow: Bool, normal: F32, slip: F32, chance: F32, mix: F32, quantum: float, near: float,
    far: float, out: F32,
) -> None:
    """One noisy depth map.

    Args:
        normal: standard normal numbers; their mean over a small cross is the axial error (neighbours agree somewhat).
        slip [2 H W]: lateral error in pixels.
        chance, mix: uniform numbers.
        quantum: step of the disparity 1 / z, per metre.
    """
    H, W = depth.shape
    for y in range(H):
        for x in range(W):
            out[y, x] = 0.0
            yy = min(max(math.floor(y + slip[0, y, x] + 0.5), 0), H - 1)
            xx = min(max(math.floor(x + slip[1, y, x] + 0.5), 0), W - 1)
            z = depth[yy, xx]
            if z <= 0 or shadow[y, x]:
                continue
            c = cosine[yy, xx]
            # A surface seen at 85 degrees returns nothing any more, at 75 nearly everything.
            if chance[y, x] < (0.26 - c) / 0.17 or chance[y, x] < 0.0008:
                continue
            low, high = z, z
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    v, u = y + dy, x + dx
                    if v >= 0 and u >= 0 and v < H and u < W and depth[v, u] > 0:
                        low, high = min(low, depth[v, u]), max(high, depth[v, u])
            if high - low > 0.06 + 0.04 * z:
                if chance[y, x] < 0.45:
                    continue
                if chance[y, x] < 0.57:
                    z = low + mix[y, x] * (high - low)
            error, count = 2.0 * normal[y, x], 4.0
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                v, u = y + dy, x + dx
                if v >= 0 and u >= 0 and v < H and u < W:
                    error += normal[v, u]
                    count += 1.0
            theta = math.acos(min(1.0, c))
            sigma = 0.0012 + 0.0019 * (z - 0.4) ** 2
            sigma += 0.0001 / math.sqrt(z) * theta * theta / (math.pi / 2 - min(theta, 1.4)) ** 2
            z += sigma * error / math.sqrt(count)
            if z < near or z > far:
                continue
            z = 1.0 / (math.floor(1.0 / (z * quantum) + 0.5) * quantum)
            out[y, x] = math.floor(z * 1000 + 0.5) / 1000


@njit(cache=True, nogil=True)
def confirm(
    points: F32, normals: F32, two_sided: Bool, owner: I32, R: F64, t: F64, fx: float, fy: float, cx: float, cy: float,
    depth: F32, ids: I32, tolerance_m: float, seen: Bool,
) -> None:
    """Mark the points that one picture shows: turned to the camera, at the depth of their pixel, of its instance.

    R, t: world to camera.
    """
    H, W = depth.shape
    # Where the camera stands in the world.
    ex = -(R[0, 0] * t[0] + R[1, 0] * t[1] + R[2, 0] * t[2])
    ey = -(R[0, 1] * t[0] + R[1, 1] * t[1] + R[2, 1] * t[2])
    ez = -(R[0, 2] * t[0] + R[1, 2] * t[1] + R[2, 2] * t[2])
    for i in range(points.shape[0]):
        if seen[i]:
            continue
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        zc = R[2, 0] * x + R[2, 1] * y + R[2, 2] * z + t[2]
        if zc < 0.05:
            continue
        u = (R[0, 0] * x + R[0, 1] * y + R[0, 2] * z + t[0]) / zc * fx + cx
        v = (R[1, 0] * x + R[1, 1] * y + R[1, 2] * z + t[1]) / zc * fy + cy
        column, row = math.floor(u + 0.5), math.floor(v + 0.5)
        if column < 0 or row < 0 or column >= W or row >= H:
            continue
        if abs(depth[row, column] - zc) > tolerance_m or ids[row, column] != owner[i]:
            continue
        facing = (ex - x) * normals[i, 0] + (ey - y) * normals[i, 1] + (ez - z) * normals[i, 2]
        seen[i] = two_sided[i] or facing > 0
