"""From a plane and a colour at every pixel to patches of even surface."""

from __future__ import annotations

import numpy as np
from numba import njit

from seg3r.kernels.geometric.arrays import F32, I32, Pinhole
from seg3r.kernels.geometric.surface import bending, difference, unexplained_step


@njit(cache=True, nogil=True)
def patch_edge_weights(
    disparity: F32, sigma: F32, planes: F32, color: F32, pinhole: Pinhole,
    jump: float, angle: float, contrast: float,
) -> tuple[F32, F32]:
    """Dissimilarity of each pixel and its right [h w 0] and lower [h w 1] neighbour; infinite where depth is missing.

    The sum of: the depth step that the neighbour's plane does not explain, in units of `jump` standard deviations; the
    angle between the normals in units of `angle` (a convex one counts a third: it is seldom a border); the colour
    difference in units of `contrast`.
    """
    h, w = disparity.shape
    right = np.full((h, w), np.inf, np.float32)
    down = np.full((h, w), np.inf, np.float32)
    for y in range(h):
        for x in range(w):
            if disparity[y, x] <= 0:
                continue
            if x + 1 < w and disparity[y, x + 1] > 0:
                right[y, x] = _dissimilarity(
                    disparity, sigma, planes, color, y, x, y, x + 1, pinhole, jump, angle, contrast
                )
            if y + 1 < h and disparity[y + 1, x] > 0:
                down[y, x] = _dissimilarity(
                    disparity, sigma, planes, color, y, x, y + 1, x, pinhole, jump, angle, contrast
                )
    return right, down


WIDE = 2
"""Pixels to either side of an edge at which normals are compared: fits blur a crease over about as many."""


@njit(cache=True, nogil=True)
def _dissimilarity(
    disparity: F32, sigma: F32, planes: F32, color: F32, y: int, x: int, j: int, i: int,
    pinhole: Pinhole, jump: float, angle: float, contrast: float,
) -> float:
    step = unexplained_step(disparity, planes, y, x, j, i, pinhole) / (jump * sigma[y, x])
    h, w = disparity.shape
    dy, dx = (j - y) * WIDE, (i - x) * WIDE
    y0, x0, y1, x1 = y - dy, x - dx, j + dy, i + dx
    if y0 < 0 or x0 < 0 or disparity[max(y0, 0), max(x0, 0)] <= 0:
        y0, x0 = y, x
    if y1 >= h or x1 >= w or disparity[min(y1, h - 1), min(x1, w - 1)] <= 0:
        y1, x1 = j, i
    turn = bending(planes, disparity, y0, x0, y1, x1, pinhole) / angle
    if turn < 0:
        turn = -turn / 3.0
    return float(step + turn + difference(color[y, x], color[j, i]) / contrast)


@njit(cache=True, nogil=True)
def _find(parent: I32, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def graph_patches(
    right: F32, down: F32, disparity: F32, scale: float, min_pixels: int, max_patches: int
) -> tuple[I32, int]:
    """Patches [h w] 0.. (-1 where depth is missing) and their number: Felzenszwalb & Huttenlocher, IJCV 2004.

    Two components join over an edge no heavier than either's heaviest inner edge + scale / size. Weights are sorted
    in 4096 bins, ties in scan order. Then patches under `min_pixels` join over their lightest edges, and what stays
    smaller is no patch; more than `max_patches`: again with twice as many pixels.
    """
    h, w = disparity.shape
    n = h * w
    parent = np.arange(n).astype(np.int32)
    size = np.ones(n, np.int32)
    inner = np.zeros(n, np.float32)
    bins = 4096
    top = 16.0
    counts = np.zeros(bins + 1, np.int64)
    for p in range(n):
        for weight in (right.flat[p], down.flat[p]):
            if weight < np.inf:
                counts[min(int(weight * (bins / top)), bins - 1) + 1] += 1
    for k in range(bins):
        counts[k + 1] += counts[k]
    order = np.empty(counts[bins], np.int32)
    at = counts.copy()
    for p in range(n):
        for side in range(2):
            weight = right.flat[p] if side == 0 else down.flat[p]
            if weight < np.inf:
                k = min(int(weight * (bins / top)), bins - 1)
                order[at[k]] = 2 * p + side
                at[k] += 1
    for e in order:
        p = e >> 1
        q = p + 1 if e & 1 == 0 else p + w
        weight = right.flat[p] if e & 1 == 0 else down.flat[p]
        a, b = _find(parent, p), _find(parent, q)
        if a != b and weight <= min(inner[a] + scale / size[a], inner[b] + scale / size[b]):
            if size[a] < size[b]:
                a, b = b, a
            parent[b] = a
            size[a] += size[b]
            inner[a] = weight
    names = np.full(n, -1, np.int32)
    count = n
    while count > max_patches or names[0] == -1:
        for e in order:
            p = e >> 1
            q = p + 1 if e & 1 == 0 else p + w
            a, b = _find(parent, p), _find(parent, q)
            if a != b and (size[a] < min_pixels or size[b] < min_pixels):
                if size[a] < size[b]:
                    a, b = b, a
                parent[b] = a
                size[a] += size[b]
        count = 0
        for p in range(n):
            names[p] = -2
        for p in range(n):
            if disparity.flat[p] > 0:
                root = _find(parent, p)
                if names[root] == -2 and size[root] >= min_pixels:
                    names[root] = count
                    count += 1
        min_pixels *= 2
    labels = np.full((h, w), -1, np.int32)
    for p in range(n):
        if disparity.flat[p] > 0:
            labels.flat[p] = max(names[_find(parent, p)], -1)
    return labels, count


@njit(cache=True, nogil=True)
def dissolve_strips(
    labels: I32, count: int, right: F32, down: F32, min_interior: float, cliff: float
) -> tuple[I32, int]:
    """Patches without an inside are the blur along a crease: their pixels are left to `settle`.

    Without an inside: under `min_interior` of the pixels see the same patch two pixels off on all four sides. A thin
    thing before something else, a table's leg, stays: half its border or more is heavier than `cliff`.
    """
    h, w = labels.shape
    area = np.zeros(count, np.int64)
    inside = np.zeros(count, np.int64)
    border = np.zeros(count, np.int64)
    steep = np.zeros(count, np.int64)
    for y in range(h):
        for x in range(w):
            a = labels[y, x]
            if a < 0:
                continue
            area[a] += 1
            if (
                1 < y < h - 2 and 1 < x < w - 2 and labels[y - 2, x] == a and labels[y + 2, x] == a
                and labels[y, x - 2] == a and labels[y, x + 2] == a
            ):
                inside[a] += 1
            for side in range(2):
                j, i = y + side, x + 1 - side
                if j >= h or i >= w or labels[j, i] == a:
                    continue
                weight = right[y, x] if side == 0 else down[y, x]
                b = labels[j, i]
                border[a] += 1
                steep[a] += weight > cliff
                if b >= 0:
                    border[b] += 1
                    steep[b] += weight > cliff
    kept = np.full(count, -1, np.int32)
    new_count = 0
    for a in range(count):
        if inside[a] >= min_interior * area[a] or 2 * steep[a] >= border[a]:
            kept[a] = new_count
            new_count += 1
    out = np.full((h, w), -1, np.int32)
    for y in range(h):
        for x in range(w):
            if labels[y, x] >= 0:
                out[y, x] = kept[labels[y, x]]
    return out, new_count
