"""Which bordering regions are one object."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from seg3r.kernels.geometric.arrays import F32, F64, I32
from seg3r.kernels.geometric.regions import (
    AREA,
    COLOURS,
    CONCAVE,
    CONTRAST,
    CONVEX,
    GAP,
    HISTOGRAM,
    JUMPS,
    LIGHT,
    LIGHT_BINS,
    MOMENTS,
    PAIRS,
    PERIMETER,
    YELLOW,
    plane_of,
)
from seg3r.kernels.geometric.surface import difference

FEATURES = 21


@njit(cache=True, nogil=True)
def pair_features(a: int, b: int, sums: F64, boxes: F32, border: F32, bounds: I32, out: F64) -> None:
    """What speaks for and against two regions being one object: into out [FEATURES], each about 0..1.

    The order is that of `seg3r.segment.geometric.Affinity`. `bounds` numbers the bounding plane of the room on which a
    region lies, -1 = none.
    """
    s, t, e = sums[a], sums[b], border[a, b]
    pairs = max(e[PAIRS], 1.0)
    jumps = e[JUMPS]
    flush = max(pairs - jumps, 1.0)
    light, chroma = 0.0, 0.0
    for k in range(HISTOGRAM, HISTOGRAM + LIGHT_BINS):
        light += math.sqrt(s[k] * t[k])
    for k in range(HISTOGRAM + LIGHT_BINS, HISTOGRAM + COLOURS):
        chroma += math.sqrt(s[k] * t[k])
    both = math.sqrt(s[AREA] * t[AREA])
    hues = 1.0 - chroma / both * (0.5 + 0.5 * light / both)
    color = difference(s[LIGHT : YELLOW + 1] / s[AREA], t[LIGHT : YELLOW + 1] / t[AREA])
    color = color / (color + 15.0)
    contrast = e[CONTRAST] / pairs
    contrast = contrast / (contrast + 15.0)
    joint = sums[a, MOMENTS : MOMENTS + 10] + sums[b, MOMENTS : MOMENTS + 10]
    _, _, _, misfit = plane_of(joint)
    misfit = math.sqrt(misfit / (s[AREA] + t[AREA]))
    misfit = misfit / (misfit + 1.5)
    extent = 0.0
    for k in range(3):
        side = max(boxes[a, 3 + k], boxes[b, 3 + k]) - min(boxes[a, k], boxes[b, k])
        extent += side * side
    extent = math.sqrt(extent)
    smaller, larger = min(s[AREA], t[AREA]), max(s[AREA], t[AREA])
    jump_share = jumps / pairs
    gap = e[GAP] / max(jumps, 1.0)
    gap = gap / (gap + 0.1)
    concave = e[CONCAVE] / flush
    concave = concave / (concave + 0.3)
    convex = e[CONVEX] / flush
    convex = convex / (convex + 0.3)
    enclosed = pairs / max(min(s[PERIMETER], t[PERIMETER]), 1.0)
    out[0] = 1.0
    out[1] = jump_share
    out[2] = jump_share * gap
    out[3] = concave
    out[4] = convex
    out[5] = color
    out[6] = hues
    out[7] = contrast
    out[8] = 1.0 if bounds[a] != bounds[b] else 0.0
    out[9] = (1.0 - jump_share) * (1.0 - concave) * (1.0 - convex) * hues
    out[10] = misfit
    out[11] = math.log(smaller) / 10.0
    out[12] = enclosed
    out[13] = extent / (extent + 1.0)
    out[14] = concave * hues
    out[15] = jump_share * hues
    out[16] = concave * enclosed
    out[17] = jump_share * enclosed
    out[18] = math.log(larger) / 10.0
    out[19] = hues if bounds[a] == bounds[b] and bounds[a] >= 0 and larger > 10.0 * smaller else 0.0
    out[20] = enclosed * hues


@njit(cache=True, nogil=True)
def affinity(a: int, b: int, sums: F64, boxes: F32, border: F32, bounds: I32, weights: F64, scratch: F64) -> float:
    pair_features(a, b, sums, boxes, border, bounds, scratch)
    total = 0.0
    for k in range(FEATURES):
        total += weights[k] * scratch[k]
    return total


@njit(cache=True, nogil=True)
def absorb(a: int, b: int, sums: F64, boxes: F32, border: F32, bounds: I32) -> None:
    """Region b becomes part of region a."""
    sums[a] += sums[b]
    sums[a, PERIMETER] -= 2.0 * border[a, b, PAIRS]
    border[a, b] = 0.0
    border[b, a] = 0.0
    for k in range(3):
        boxes[a, k] = min(boxes[a, k], boxes[b, k])
        boxes[a, 3 + k] = max(boxes[a, 3 + k], boxes[b, 3 + k])
    if bounds[a] != bounds[b]:
        bounds[a] = -1
    for c in range(sums.shape[0]):
        if c != a:
            border[a, c] += border[b, c]
            border[c, a] = border[a, c]
        border[b, c] = 0.0
        border[c, b] = 0.0


@njit(cache=True, nogil=True)
def merge_regions(sums: F64, boxes: F32, border: F32, bounds: I32, weights: F64) -> I32:
    """Region [count] that each patch ends up in: the pair of bordering regions with the highest affinity joins, as
    long as that is positive. Edits its arguments."""
    count = sums.shape[0]
    region = np.arange(count).astype(np.int32)
    alive = np.ones(count, np.bool_)
    score = np.full((count, count), -np.inf, np.float32)
    best = np.zeros(count, np.int64)
    scratch = np.zeros(FEATURES)
    for a in range(count):
        for b in range(a + 1, count):
            if border[a, b, PAIRS] > 0:
                score[a, b] = affinity(a, b, sums, boxes, border, bounds, weights, scratch)
                score[b, a] = score[a, b]
        best[a] = score[a].argmax()
    for a in range(count):
        best[a] = score[a].argmax()
    while True:
        a, top = -1, np.float32(0.0)
        for c in range(count):
            if alive[c] and score[c, best[c]] > top:
                a, top = c, score[c, best[c]]
        if a < 0:
            return region
        b = best[a]
        a, b = min(a, b), max(a, b)
        absorb(a, b, sums, boxes, border, bounds)
        alive[b] = False
        score[b, :] = -np.inf
        score[:, b] = -np.inf
        for c in range(count):
            if region[c] == b:
                region[c] = a
            if alive[c] and c != a and border[a, c, PAIRS] > 0:
                score[a, c] = affinity(a, c, sums, boxes, border, bounds, weights, scratch)
                score[c, a] = score[a, c]
        for c in range(count):
            if alive[c] and (c == a or border[a, c, PAIRS] > 0 or best[c] == b):
                best[c] = score[c].argmax()


@njit(cache=True, nogil=True)
def apartness(sums: F64, boxes: F32, border: F32, bounds: I32, weights: F64) -> F64:
    """How clearly each region parts from those around it, 0..1: the mean over its border of the logistic of minus the
    affinity across it; 1 without a border."""
    count = sums.shape[0]
    out = np.ones(count)
    scratch = np.zeros(FEATURES)
    for a in range(count):
        total, pairs = 0.0, 0.0
        for b in range(count):
            if border[a, b, PAIRS] > 0:
                total += border[a, b, PAIRS] / (
                    1.0 + math.exp(affinity(a, b, sums, boxes, border, bounds, weights, scratch))
                )
                pairs += border[a, b, PAIRS]
        if pairs > 0:
            out[a] = total / pairs
    return out
