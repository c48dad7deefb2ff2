"""From masks to clean points: gates on depth, then clusters on the pixel lattice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]

BIN_M = 0.005
BINS = 4096
REACH = 2


@njit(cache=True, nogil=True)
def edge_free(depth: F32, confidence: F32, stride: int, jump: float, near: float, far: float, out: U8) -> None:
    """On the lattice: 1 where depth is in range, trusted, and no 3x3 neighbour is off by more than `jump` of it."""
    H, W = depth.shape
    for r in range(0, H, stride):
        for c in range(0, W, stride):
            d = depth[r, c]
            ok = confidence[r, c] > 0 and d >= near and d <= far
            if ok and jump > 0:
                limit = jump * d
                for rr in range(max(r - 1, 0), min(r + 2, H)):
                    for cc in range(max(c - 1, 0), min(c + 2, W)):
                        other = depth[rr, cc]
                        if other > 0 and abs(other - d) > limit:
                            ok = False
            out[r, c] = ok


@njit(cache=True, nogil=True)
def count_pixels(masks: U8, words: U64, stride: int, counts: I32, boxes: I32) -> None:
    """Lattice pixels in each mask, and their box: rows from, to, columns from, to (exclusive).

    `words` is the same memory eight pixels at a time ([m H W/8]); empty where the width does not allow it.
    """
    m, H, W = masks.shape
    chunk = 8 if words.size else W
    for i in range(m):
        n, top, bottom, left, right = 0, H, 0, W, 0
        for r in range(0, H, stride):
            before = n
            for w in range(W // chunk):
                if words.size and words[i, r, w] == np.uint64(0):
                    continue
                for c in range(-(-w * chunk // stride) * stride, (w + 1) * chunk, stride):
                    if masks[i, r, c]:
                        n += 1
                        left, right = min(left, c), max(right, c + 1)
            if n > before:
                top, bottom = min(top, r), r + 1
        counts[i] = n
        boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = top, bottom, left, right


@njit(cache=True, nogil=True, inline="always")
def _find(parent: I32, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _median_bin(histogram: I32, total: int) -> int:
    half, running = (total + 1) // 2, 0
    for b in range(histogram.size):
        running += histogram[b]
        if running >= half:
            return b
    return histogram.size - 1


@njit(cache=True, nogil=True)
def _gate_depth(depth: F32, pixels: I32, n: int, W: int, mads: float, least: float) -> int:
    """Keep |D - median| <= max(mads * 1.4826 * MAD, least); returns how many are left (in place, order kept)."""
    histogram = np.zeros(BINS, np.int32)
    for i in range(n):
        histogram[min(int(depth[pixels[i] // W, pixels[i] % W] / BIN_M), BINS - 1)] += 1
    median = (_median_bin(histogram, n) + 0.5) * BIN_M
    histogram[:] = 0
    for i in range(n):
        off = abs(depth[pixels[i] // W, pixels[i] % W] - median)
        histogram[min(int(off / BIN_M), BINS - 1)] += 1
    limit = max(mads * 1.4826 * (_median_bin(histogram, n) + 0.5) * BIN_M, least)
    left = 0
    for i in range(n):
        if abs(depth[pixels[i] // W, pixels[i] % W] - median) <= limit:
            pixels[left] = pixels[i]
            left += 1
    return left


@njit(cache=True, nogil=True)
def _keep_clusters(
    depth: F32, fx: float, fy: float, pixels: I32, n: int, W: int, stride: int, eps: float, neighbours: int,
    share: float, box: I32,
) -> int:
    """DBSCAN on the pixel lattice: neighbours are lattice pixels at most REACH apart and within eps in space.

    Keeps the largest cluster and all of at least `share` of it; returns how many pixels are left.

    Args:
        box: of the pixels: rows from, to, columns from, to (exclusive).
    """
    top, left_edge = box[0] // stride, box[2] // stride
    rows, columns = (box[1] - 1) // stride - top + 1, (box[3] - 1) // stride - left_edge + 1
    lattice = np.full((rows, columns), -1, np.int32)
    parent = np.arange(n).astype(np.int32)
    row, column, range_m = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.float32)
    for i in range(n):
        r, c = pixels[i] // W, pixels[i] % W
        row[i], column[i], range_m[i] = r // stride - top, c // stride - left_edge, depth[r, c]
        lattice[row[i], column[i]] = i
    degree = np.zeros(n, np.int32)
    for sweep in range(2):
        for i in range(n):
            r, c, z = row[i], column[i], float(range_m[i])
            limit = max(eps, 3.0 * z * stride / fx)
            for dr in range(REACH + 1):
                for dc in range(-REACH if dr > 0 else 1, REACH + 1):
                    rr, cc = r + dr, c + dc
                    if cc < 0 or rr >= rows or cc >= columns:
                        continue
                    j = lattice[rr, cc]
                    if j < 0:
                        continue
                    dx, dy = dc * stride * z / fx, dr * stride * z / fy
                    dz = float(range_m[j]) - z
                    if dx * dx + dy * dy + dz * dz > limit * limit:
                        continue
                    if sweep == 0:
                        degree[i] += 1
                        degree[j] += 1
                        continue
                    core_i, core_j = degree[i] >= neighbours, degree[j] >= neighbours
                    if core_i and core_j:
                        a, b = _find(parent, i), _find(parent, j)
                        parent[max(a, b)] = min(a, b)
                    elif core_i and parent[j] == j:
                        parent[j] = _find(parent, i)
                    elif core_j and parent[i] == i:
                        parent[i] = _find(parent, j)
    size = np.zeros(n, np.int32)
    for i in range(n):
        root = _find(parent, i)
        if degree[root] >= neighbours:
            size[root] += 1
    least = share * size.max() if n else 0.0
    left = 0
    for i in range(n):
        root = _find(parent, i)
        if size[root] > 0 and size[root] >= least:
            pixels[left] = pixels[i]
            left += 1
    return left


@njit(cache=True, nogil=True)
def clean_pixels(
    masks: U8, depth: F32, usable: U8, fx: float, fy: float, stride: int, erode: int, mads: float, least_m: float,
    eps: float, neighbours: int, share: float, boxes: I32, starts: I32, pixels: I32, counts: I32,
) -> None:
    """Per mask: lattice pixels (flat) that survive erosion, the gates and clustering, from `starts[i]` on."""
    m, H, W = masks.shape
    for i in range(m):
        own = pixels[starts[i] : starts[i + 1]]
        n = 0
        for r in range(boxes[i, 0], boxes[i, 1], stride):
            for c in range(boxes[i, 2], boxes[i, 3], stride):
                if not masks[i, r, c] or not usable[r, c]:
                    continue
                inside = True
                for rr in range(max(r - erode, 0), min(r + erode + 1, H)):
                    for cc in range(max(c - erode, 0), min(c + erode + 1, W)):
                        inside = inside and masks[i, rr, cc] != 0
                if inside:
                    own[n] = r * W + c
                    n += 1
        if n > 0 and mads > 0:
            n = _gate_depth(depth, own, n, W, mads, least_m)
        if n > 0 and eps > 0:
            n = _keep_clusters(depth, fx, fy, own, n, W, stride, eps, neighbours, share, boxes[i])
        counts[i] = n
