"""The inner loops of the renderer: discs into a z-buffer, and light that lets shape be read from depth alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]


@njit(cache=True, nogil=True)
def splat(
    points_cam: F32, fx: float, fy: float, cx: float, cy: float, radius: float, near: float, depth: F32, index: I32
) -> None:
    """Draw each point as a disc that faces the camera. `depth` starts at infinity, `index` at -1; nearest wins, the
    earlier point between equals.

    A disc recedes towards its rim (by its radius), so that of two in one plane each pixel goes to the closer centre.
    """
    H, W = depth.shape
    for i in range(points_cam.shape[0]):
        z = points_cam[i, 2]
        if not z > near:
            continue
        u = points_cam[i, 0] / z * fx + cx
        v = points_cam[i, 1] / z * fy + cy
        r = max(0.71, radius / z * fx)  # half a pixel's diagonal: no point falls between the pixels
        if not (u + r >= 0 and v + r >= 0 and u - r <= W - 1 and v - r <= H - 1):
            continue
        for y in range(max(0, math.ceil(v - r)), min(H - 1, math.floor(v + r)) + 1):
            for x in range(max(0, math.ceil(u - r)), min(W - 1, math.floor(u + r)) + 1):
                off = ((x - u) ** 2 + (y - v) ** 2) / (r * r)
                if off > 1:
                    continue
                at = np.float32(z + radius * off)
                if at < depth[y, x]:
                    depth[y, x] = at
                    index[y, x] = i


@njit(cache=True, nogil=True)
def eye_dome(depth: F32, reach: I32, strength: float, light: F32) -> None:
    """Light in 0..1 per pixel: the more of its surroundings lie nearer than a pixel, the darker.

    Eye-dome lighting (C. Boucheny 2009): exp(-strength * mean over eight neighbours at each reach, in pixels, of
    max(0, log depth - log neighbour's depth)). Neighbours without depth lie infinitely far: they darken nothing.
    """
    H, W = depth.shape
    log_depth = np.log2(depth)
    for y in range(H):
        for x in range(W):
            if not np.isfinite(depth[y, x]):
                light[y, x] = 1
                continue
            shade = 0.0
            for k in range(reach.size):
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        ny, nx = y + dy * reach[k], x + dx * reach[k]
                        if 0 <= ny < H and 0 <= nx < W:
                            # A far jump counts as a small one: silhouettes get a line, not a blot.
                            shade += min(0.05, max(0.0, log_depth[y, x] - log_depth[ny, nx]))
            light[y, x] = math.exp(-strength * shade / (8 * reach.size))
