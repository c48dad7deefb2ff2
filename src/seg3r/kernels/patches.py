"""The inner loops of the weight-free descriptors: colour and gradient histograms per patch, and mask coverage."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]

CHROMA_BINS = 8
LIGHTNESS_BINS = 8
ORIENTATIONS = 8
CHANNELS = CHROMA_BINS * CHROMA_BINS + LIGHTNESS_BINS + ORIENTATIONS + 1
_CHROMA_GAIN = 4.0
"""Most surfaces lie within +-0.3 of grey; 4 x / (1/2 + |4 x|) spreads them over the bins and keeps vivid ones in."""
_DARK = 24.0
"""Added to R + G + B: chroma fades to grey where there is too little light to see any."""
_EDGE = 12.0
"""Grey levels per pixel at which a gradient counts half."""


@njit(cache=True, nogil=True, inline="always")
def _orientation(gx: float, gy: float) -> tuple[int, float]:
    """Which of eight directions lies just before that of a gradient, and how far towards the next it points, 0..1.

    The arc tangent within an octant is t (1.273 - 0.273 t), right to 0.3 degrees.
    """
    ax, ay = abs(gx), abs(gy)
    t = ay / (ax + 1e-9) if ax >= ay else ax / ay
    t = t * (1.273 - 0.273 * t)
    if ax < ay:
        t = 2.0 - t
    if gx < 0:
        t = 4.0 - t
    if gy < 0:
        t = 8.0 - t
    k = int(t)
    return k % ORIENTATIONS, t - k


@njit(cache=True, nogil=True)
def patch_histograms(rgb: U8, patch: int, step: int) -> F32:
    """[h w CHANNELS]: chroma, lightness and orientation histograms of each patch, each summing to 1.

    Pixels are the means of step x step blocks; votes are linear between neighbouring bins.
    """
    H, W = rgb.shape[0], rgb.shape[1]
    rows, columns = H // step, W // step
    red = np.zeros((rows, columns), np.float32)
    green = np.zeros((rows, columns), np.float32)
    blue = np.zeros((rows, columns), np.float32)
    share = np.float32(1.0 / (step * step))
    for y in range(rows):
        for x in range(columns):
            r, g, b = 0, 0, 0
            for dy in range(step):
                for dx in range(step):
                    r += rgb[y * step + dy, x * step + dx, 0]
                    g += rgb[y * step + dy, x * step + dx, 1]
                    b += rgb[y * step + dy, x * step + dx, 2]
            red[y, x], green[y, x], blue[y, x] = r * share, g * share, b * share

    out = np.zeros(((H + patch - 1) // patch, (W + patch - 1) // patch, CHANNELS), np.float32)
    one, half, sixth = np.float32(1.0), np.float32(0.5), np.float32(1.0 / 6.0)
    gain, dark, soft, span = np.float32(_CHROMA_GAIN), np.float32(_DARK), np.float32(_EDGE), np.float32(CHROMA_BINS - 1)
    lightness_at = CHROMA_BINS * CHROMA_BINS
    orientation_at = lightness_at + LIGHTNESS_BINS
    for y in range(rows):
        up, down = max(y - 1, 0), min(y + 1, rows - 1)
        for x in range(columns):
            left, right = max(x - 1, 0), min(x + 1, columns - 1)
            r, g, b = red[y, x], green[y, x], blue[y, x]
            total = r + g + b
            scale = gain / (total + dark)
            u, v = (r - g) * scale, (np.float32(0.5) * (r + g) - b) * scale
            u = (u / (half + abs(u)) * half + half) * span
            v = (v / (half + abs(v)) * half + half) * span
            # Rounding puts white just beyond the last bin, whose neighbour would get a negative vote.
            light = min(total * np.float32((LIGHTNESS_BINS - 1) / 765.0), np.float32(LIGHTNESS_BINS - 1))
            gx = (
                red[y, right] + green[y, right] + blue[y, right] - red[y, left] - green[y, left] - blue[y, left]
            ) * sixth
            gy = (red[down, x] + green[down, x] + blue[down, x] - red[up, x] - green[up, x] - blue[up, x]) * sixth
            edge = np.float32(math.sqrt(gx * gx + gy * gy))
            edge = edge / (edge + soft)
            a0, fa = _orientation(gx, gy)
            cell = out[y * step // patch, x * step // patch]
            u0, v0, l0 = min(int(u), CHROMA_BINS - 2), min(int(v), CHROMA_BINS - 2), min(int(light), LIGHTNESS_BINS - 2)
            fu, fv, fl = u - u0, v - v0, light - l0
            at = u0 * CHROMA_BINS + v0
            cell[at] += (one - fu) * (one - fv)
            cell[at + 1] += (one - fu) * fv
            cell[at + CHROMA_BINS] += fu * (one - fv)
            cell[at + CHROMA_BINS + 1] += fu * fv
            cell[lightness_at + l0] += one - fl
            cell[lightness_at + l0 + 1] += fl
            cell[orientation_at + a0] += edge * (one - fa)
            cell[orientation_at + (a0 + 1) % ORIENTATIONS] += edge * fa
            cell[orientation_at + ORIENTATIONS] += one - edge
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            count = out[y, x, lightness_at:orientation_at].sum()
            if count > 0:
                out[y, x] /= count
    return out


@njit(cache=True, nogil=True)
def packed_mask_boxes(words: U64, bytes_: U8) -> I32:
    """[m 4] first row, first column, one past the last of each; all 0 for an empty mask. Words may be empty."""
    m, H, W = bytes_.shape
    boxes = np.zeros((m, 4), np.int32)
    for i in range(m):
        top, bottom, left, right = H, 0, W, 0
        for y in range(H):
            if words.size:
                occupied = False
                for w in range(words.shape[2]):
                    if words[i, y, w]:
                        occupied = True
                        break
                if not occupied:
                    continue
            for x in range(W):
                if bytes_[i, y, x]:
                    top, bottom = min(top, y), y + 1
                    left = min(left, x)
                    break
            for x in range(W - 1, -1, -1):
                if bytes_[i, y, x]:
                    right = max(right, x + 1)
                    break
        if bottom:
            boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = top, left, bottom, right
    return boxes


@njit(cache=True, nogil=True)
def patch_coverage(words: U64, bytes_: U8, patch: int) -> F32:
    """[m h*w] share of each patch that each mask covers.

    `words` is the same memory eight pixels at a time ([m H W/8]); empty where the width does not allow it.
    """
    m, H, W = bytes_.shape
    columns = (W + patch - 1) // patch
    out = np.zeros((m, ((H + patch - 1) // patch) * columns), np.float32)
    full = np.uint64(0x0101010101010101)
    zero = np.uint64(0)
    patch_of = np.empty(W, np.int64)
    for x in range(W):
        patch_of[x] = x // patch
    for i in range(m):
        cover = out[i]
        for y in range(H):
            row = (y // patch) * columns
            if words.size:
                for w in range(words.shape[2]):
                    word = words[i, y, w]
                    if word == zero:
                        continue
                    x = w * 8
                    if patch_of[x] == patch_of[x + 7]:
                        cover[row + patch_of[x]] += np.float32((word * full) >> np.uint64(56))
                    else:
                        for k in range(x, x + 8):
                            if bytes_[i, y, k]:
                                cover[row + patch_of[k]] += np.float32(1.0)
            else:
                for x in range(W):
                    if bytes_[i, y, x]:
                        cover[row + patch_of[x]] += np.float32(1.0)
    return out * np.float32(1.0 / (patch * patch))


@njit(cache=True, nogil=True)
def box_coverage(boxes: I32, H: int, W: int, patch: int) -> F32:
    """[m h*w] share of each patch that each box covers."""
    rows, columns = (H + patch - 1) // patch, (W + patch - 1) // patch
    out = np.zeros((boxes.shape[0], rows * columns), np.float32)
    for i in range(boxes.shape[0]):
        for y in range(rows):
            high = min((y + 1) * patch, boxes[i, 2]) - max(y * patch, boxes[i, 0])
            if high <= 0:
                continue
            for x in range(columns):
                wide = min((x + 1) * patch, boxes[i, 3]) - max(x * patch, boxes[i, 1])
                if wide > 0:
                    out[i, y * columns + x] = high * wide / (patch * patch)
    return out


@njit(cache=True, nogil=True)
def pooled_histograms(coverage: F32, histograms: F32, weights: F32, least: float) -> F32:
    """[m d] square root of the weighted mean histogram under each mask, unit length; zero with less coverage.

    Sums run in a fixed order (a matrix product's depends on threads and memory layout): the same frame must give the
    same bits in every run.
    """
    m, p = coverage.shape
    d = histograms.shape[1]
    out = np.zeros((m, d), np.float32)
    total = np.zeros(d)
    for i in range(m):
        evidence = 0.0
        total[:] = 0.0
        for j in range(p):
            share = coverage[i, j]
            if share > 0:
                evidence += share
                for k in range(d):
                    total[k] += share * histograms[j, k]
        if evidence < least:
            continue
        length = 0.0
        for k in range(d):
            total[k] *= weights[k]
            length += total[k]
        if length > 0:
            for k in range(d):
                out[i, k] = np.sqrt(total[k] / length)
    return out
