"""The inner loops of the query index memory: points pooled to keys, keys rasterised to cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

B = npt.NDArray[np.bool_]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def pool_keys(points: F32, depth: F32, confidence: F32, share: float, spread: float, keys: F64, valid: B) -> None:
    """Mean point of each cell of the grid [h w]; valid where at least `share` of its pixels have a depth and those
    deviate by at most `spread` of their mean."""
    H, W = depth.shape
    h, w = valid.shape
    count = np.zeros((h, w))
    pixels = np.zeros((h, w))
    first = np.zeros((h, w))
    second = np.zeros((h, w))
    keys[:] = 0.0
    column = np.empty(W, np.int64)
    for c in range(W):
        column[c] = (2 * c + 1) * w // (2 * W)
    for r in range(H):
        i = (2 * r + 1) * h // (2 * H)
        for c in range(W):
            j = column[c]
            pixels[i, j] += 1.0
            z = np.float64(depth[r, c])
            if z > 0 and confidence[r, c] > 0:
                count[i, j] += 1.0
                first[i, j] += z
                second[i, j] += z * z
                for k in range(3):
                    keys[i, j, k] += points[r, c, k]
    for i in range(h):
        for j in range(w):
            n = count[i, j]
            ok = n > 0 and n >= share * pixels[i, j]
            if ok:
                mean = first[i, j] / n
                ok = second[i, j] / n - mean * mean <= (spread * mean) ** 2
                for k in range(3):
                    keys[i, j, k] /= n
            valid[i, j] = ok


@njit(cache=True, nogil=True)
def visible_cells(
    keys: F64, K: F64, T_cam_world: F64, depth: F32, h: int, w: int, share: float, margin: float, cells: I32
) -> None:
    """The cell of each key that can be seen, -1 for the others.

    Hidden is what lies farther than depth * (1 + share) + margin, by the depth of the pixel it falls on or by the
    nearest key of its cell.
    """
    H, W = depth.shape
    near = np.full(h * w, np.inf)
    distance = np.zeros(len(keys))
    for n in range(len(keys)):
        cells[n] = -1
        x, y, z = keys[n, 0], keys[n, 1], keys[n, 2]
        cz = T_cam_world[2, 0] * x + T_cam_world[2, 1] * y + T_cam_world[2, 2] * z + T_cam_world[2, 3]
        if cz <= 1e-6:
            continue
        cx = T_cam_world[0, 0] * x + T_cam_world[0, 1] * y + T_cam_world[0, 2] * z + T_cam_world[0, 3]
        cy = T_cam_world[1, 0] * x + T_cam_world[1, 1] * y + T_cam_world[1, 2] * z + T_cam_world[1, 3]
        # Integer coordinates are pixel centres: the image reaches from -0.5 to W - 0.5.
        u = cx / cz * K[0, 0] + K[0, 2] + 0.5
        v = cy / cz * K[1, 1] + K[1, 2] + 0.5
        if not (0 <= u < W and 0 <= v < H):
            continue
        measured = depth[int(v), int(u)]
        if measured > 0 and cz > measured * (1 + share) + margin:
            continue
        cell = min(int(v * h / H), h - 1) * w + min(int(u * w / W), w - 1)
        cells[n] = cell
        distance[n] = cz
        near[cell] = min(near[cell], cz)
    for n in range(len(keys)):
        if cells[n] >= 0 and distance[n] > near[cells[n]] * (1 + share) + margin:
            cells[n] = -1


@njit(cache=True, nogil=True)
def count_cells(slots: I64, cells: I32, postings: I32, counts: I32) -> None:
    """How many cells name each query. Slots come sorted by their cell."""
    last = np.full(len(counts), -1, np.int32)
    for n in range(len(slots)):
        for p in range(postings.shape[1]):
            query = postings[slots[n], p]
            if query >= 0 and last[query] != cells[n]:
                last[query] = cells[n]
                counts[query] += 1


@njit(cache=True, nogil=True)
def fill_footprints(slots: I64, cells: I32, postings: I32, place: I32, footprints: B) -> None:
    """Mark [k h*w] the cells that name each query chosen; `place` is its row, -1 for others."""
    for n in range(len(slots)):
        for p in range(postings.shape[1]):
            query = postings[slots[n], p]
            if query >= 0 and place[query] >= 0:
                footprints[place[query], cells[n]] = True


@njit(cache=True, nogil=True)
def post(slots: I64, queries: I32, postings: I32, ends: I32) -> None:
    """Write each query into the posting list of its key: once, over the oldest where the list is full."""
    room = postings.shape[1]
    for n in range(len(slots)):
        slot = slots[n]
        known = False
        for p in range(room):
            known = known or postings[slot, p] == queries[n]
        if not known:
            postings[slot, ends[slot] % room] = queries[n]
            ends[slot] = (ends[slot] + 1) % room
