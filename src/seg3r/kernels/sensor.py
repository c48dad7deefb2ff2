"""A depth map's pixels as points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]


@njit(cache=True, nogil=True)
def unproject_in_range(
    depth: F32, across: F32, down: F32, eye: F32, near: float, far: float, trusted: F32, points: F32, confidence: F32
) -> None:
    """Depth in range, the point of every pixel that has any, and confidence 1 where it is in range.

    Args:
        across: [W 3], down: [H 3]: their sum is a pixel's ray in the world, of unit depth.
    """
    H, W = depth.shape
    for r in range(H):
        for c in range(W):
            d = depth[r, c]
            finite = d if np.isfinite(d) else np.float32(0)
            inside = near <= finite <= far
            trusted[r, c] = finite if inside else np.float32(0)
            confidence[r, c] = np.float32(1) if inside else np.float32(0)
            for k in range(3):
                points[r, c, k] = (across[c, k] + down[r, k]) * finite + eye[k]
