"""From the reduced image back to the full one."""

from __future__ import annotations

import numpy as np
from numba import njit

from seg3r.kernels.geometric.arrays import F32, I32, Bool


@njit(cache=True, nogil=True)
def expand(labels: I32, disparity: F32, sigma: F32, depth: F32, step: int, reach: float, tolerance: float) -> I32:
    """Labels at full size [H W], -1 = none: each pixel takes that of its block, if it lies within `reach` standard
    deviations of the block's disparity; otherwise that of the block around whose depth is nearest, none if that is off
    by more than the share `tolerance`."""
    H, W = depth.shape
    h, w = labels.shape
    out = np.full((H, W), -1, np.int32)
    for y in range(H):
        row = y // step
        for x in range(W):
            z = depth[y, x]
            if not z > 0:
                continue
            column = x // step
            if row < h and column < w and abs(disparity[row, column] - 1.0 / z) < reach * sigma[row, column]:
                out[y, x] = labels[row, column]
            if out[y, x] >= 0:
                continue
            best = np.float32(tolerance)
            for j in range(max(row - 1, 0), min(row + 2, h)):
                for i in range(max(column - 1, 0), min(column + 2, w)):
                    off = abs(disparity[j, i] * z - 1.0)
                    if labels[j, i] >= 0 and off < best:
                        best = off
                        out[y, x] = labels[j, i]
    return out


@njit(cache=True, nogil=True)
def masks_of_labels(labels: I32, slots: I32, count: int) -> Bool:
    """[count H W]: mask slots[label] holds the pixels of `label`; labels with slot -1 are left out."""
    H, W = labels.shape
    out = np.zeros((count, H, W), np.bool_)
    for y in range(H):
        for x in range(W):
            label = labels[y, x]
            if label >= 0 and slots[label] >= 0:
                out[slots[label], y, x] = True
    return out
