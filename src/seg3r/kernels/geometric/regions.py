"""What is known of patches and of the borders between them, in sums: they add when regions join."""

from __future__ import annotations

import numpy as np
from numba import njit

from seg3r.kernels.geometric.arrays import F32, F64, I32, Pinhole
from seg3r.kernels.geometric.surface import bending, difference, unexplained_step

AREA, LIGHT, RED, YELLOW, HISTOGRAM = 0, 1, 2, 3, 4
"""Columns of a region's sums: pixels, color, and its histogram (`COLOURS` bins)."""
LIGHT_BINS, CHROMA_BINS = 6, 6
COLOURS = LIGHT_BINS + CHROMA_BINS * CHROMA_BINS
MOMENTS = HISTOGRAM + COLOURS
"""Then x x, x y, x, y y, y, 1, x d, y d, d, d d, all over the variance of d: what a plane is fitted from."""
RIM = MOMENTS + 10
"""Pixels at the image's rim."""
PERIMETER = RIM + 1
"""Pixel pairs of its whole border with other regions."""
SUMS = PERIMETER + 1

PAIRS, JUMPS, GAP, CONCAVE, CONVEX, CONTRAST = 0, 1, 2, 3, 4, 5
"""Columns of a border's sums: pixel pairs; those with a jump in depth; its metres; angles and contrast of all."""
BORDER = 6


@njit(cache=True, nogil=True)
def region_sums(
    labels: I32, count: int, disparity: F32, sigma: F32, color: F32, pinhole: Pinhole
) -> tuple[F64, F32]:
    """Of each patch: its sums [count SUMS], and its box in the camera's frame [count 6] (low corner, high corner)."""
    fx, fy, cx, cy = pinhole
    h, w = labels.shape
    sums = np.zeros((count, SUMS))
    boxes = np.empty((count, 6), np.float32)
    boxes[:, :3] = np.inf
    boxes[:, 3:] = -np.inf
    for v in range(h):
        y = (v - cy) / fy
        for u in range(w):
            label = labels[v, u]
            if label < 0:
                continue
            x = (u - cx) / fx
            d = disparity[v, u]
            row = sums[label]
            row[AREA] += 1.0
            light, red, yellow = color[v, u, 0], color[v, u, 1], color[v, u, 2]
            row[LIGHT] += light
            row[RED] += red
            row[YELLOW] += yellow
            fl = min(max(light * ((LIGHT_BINS - 1) / 256.0), 0.0), LIGHT_BINS - 1.001)
            fr = min(max((red + 75.0) * ((CHROMA_BINS - 1) / 150.0), 0.0), CHROMA_BINS - 1.001)
            fb = min(max((yellow + 75.0) * ((CHROMA_BINS - 1) / 150.0), 0.0), CHROMA_BINS - 1.001)
            il, ir, ib = int(fl), int(fr), int(fb)
            fl, fr, fb = fl - il, fr - ir, fb - ib
            row[HISTOGRAM + il] += 1.0 - fl
            row[HISTOGRAM + il + 1] += fl
            at = HISTOGRAM + LIGHT_BINS + ir * CHROMA_BINS + ib
            row[at] += (1.0 - fr) * (1.0 - fb)
            row[at + 1] += (1.0 - fr) * fb
            row[at + CHROMA_BINS] += fr * (1.0 - fb)
            row[at + CHROMA_BINS + 1] += fr * fb
            k = 1.0 / (sigma[v, u] * sigma[v, u])
            m = row[MOMENTS : MOMENTS + 10]
            m[0] += k * x * x
            m[1] += k * x * y
            m[2] += k * x
            m[3] += k * y * y
            m[4] += k * y
            m[5] += k
            m[6] += k * x * d
            m[7] += k * y * d
            m[8] += k * d
            m[9] += k * d * d
            if u < 2 or v < 2 or u >= w - 2 or v >= h - 2:
                row[RIM] += 1.0
            z = 1.0 / d
            box = boxes[label]
            box[0], box[3] = min(box[0], x * z), max(box[3], x * z)
            box[1], box[4] = min(box[1], y * z), max(box[4], y * z)
            box[2], box[5] = min(box[2], z), max(box[5], z)
    return sums, boxes


@njit(cache=True, nogil=True)
def plane_of(m: F64) -> tuple[float, float, float, float]:
    """(n, misfit) of the plane n.X = 1 through moments; the misfit is that of `misfit_to`."""
    weight = m[5]
    xx, xy, yy = m[0] - m[2] * m[2] / weight, m[1] - m[2] * m[4] / weight, m[3] - m[4] * m[4] / weight
    xd, yd, dd = m[6] - m[2] * m[8] / weight, m[7] - m[4] * m[8] / weight, m[9] - m[8] * m[8] / weight
    ridge = 1e-9 * weight
    xx += ridge
    yy += ridge
    det = xx * yy - xy * xy
    a, b = (xd * yy - yd * xy) / det, (yd * xx - xd * xy) / det
    c = (m[8] - a * m[2] - b * m[4]) / weight
    return a, b, c, max(dd - a * xd - b * yd, 0.0)


@njit(cache=True, nogil=True)
def misfit_to(m: F64, plane: F64) -> float:
    """Sum over a region's pixels of the squared distance to a plane n.X = 1, in standard deviations of disparity."""
    a, b, c = plane[0], plane[1], plane[2]
    fit = (
        a * a * m[0] + b * b * m[3] + c * c * m[5] + 2.0 * (a * b * m[1] + a * c * m[2] + b * c * m[4])
        - 2.0 * (a * m[6] + b * m[7] + c * m[8]) + m[9]
    )
    return float(max(fit, 0.0))


@njit(cache=True, nogil=True)
def share_behind(
    plane: F64, disparity: F32, sigma: F32, pinhole: Pinhole, tolerance_m: float
) -> float:
    """Share of the measured pixels (every third row and column) that lie behind a plane n.X = 1."""
    fx, fy, cx, cy = pinhole
    h, w = disparity.shape
    behind, total = 0, 0
    for v in range(1, h, 3):
        for u in range(1, w, 3):
            d = disparity[v, u]
            if d > 0:
                total += 1
                ahead = plane[0] * (u - cx) / fx + plane[1] * (v - cy) / fy + plane[2] - d
                if ahead > max(3.0 * sigma[v, u], tolerance_m * d * d):
                    behind += 1
    return behind / max(total, 1)


@njit(cache=True, nogil=True)
def bounding_planes(
    sums: F64, disparity: F32, sigma: F32, pinhole: Pinhole,
    min_share: float, max_misfit: float, max_behind: float, tolerance_m: float,
) -> I32:
    """[count] number of the bounding plane of the room each region lies on, -1 = none.

    Floor, walls and ceiling, without knowing which way is up: a region that is flat, holds at least `min_share` of
    the pixels, and has no more than `max_behind` of what is seen behind its plane. The largest first; other regions
    within `max_misfit` standard deviations of the plane lie on it too.
    """
    count = sums.shape[0]
    bounds = np.full(count, -1, np.int32)
    planes = np.zeros((count, 3))
    found = 0
    total = sums[:, AREA].sum()
    for a in np.argsort(-sums[:, AREA], kind="mergesort"):
        m = sums[a, MOMENTS : MOMENTS + 10]
        area = sums[a, AREA]
        for k in range(found):
            if misfit_to(m, planes[k]) < max_misfit * max_misfit * area:
                bounds[a] = k
                break
        if bounds[a] >= 0 or area < min_share * total:
            continue
        p0, p1, p2, misfit = plane_of(m)
        planes[found, 0], planes[found, 1], planes[found, 2] = p0, p1, p2
        if misfit < max_misfit * max_misfit * area and (
            share_behind(planes[found], disparity, sigma, pinhole, tolerance_m) < max_behind
        ):
            bounds[a] = found
            found += 1
    return bounds


@njit(cache=True, nogil=True)
def border_sums(
    labels: I32, sums: F64, disparity: F32, sigma: F32, planes: F32, color: F32,
    pinhole: Pinhole, reach: int, jump: float, jump_m: float,
) -> F32:
    """[count count BORDER], symmetric: what lies between each two patches, over rows and columns.

    A pair of pixels is a border where nothing measured lies between them, at most `reach` apart. Angles and contrast
    are taken two pixels to either side: the border itself is blurred. Fills the column PERIMETER of `sums`.
    """
    h, w = labels.shape
    count = sums.shape[0]
    out = np.zeros((count, count, BORDER), np.float32)
    for y in range(h):
        for x in range(w):
            a = labels[y, x]
            if a < 0:
                continue
            for dy, dx in ((0, 1), (1, 0)):
                j, i = y + dy, x + dx
                steps = 1
                while j < h and i < w and labels[j, i] < 0 and steps < reach:
                    j += dy
                    i += dx
                    steps += 1
                if j >= h or i >= w or labels[j, i] < 0 or labels[j, i] == a:
                    continue
                b = labels[j, i]
                y0, x0, y1, x1 = y, x, j, i
                for _ in range(2):
                    if y0 - dy >= 0 and x0 - dx >= 0 and labels[y0 - dy, x0 - dx] == a:
                        y0, x0 = y0 - dy, x0 - dx
                    if y1 + dy < h and x1 + dx < w and labels[y1 + dy, x1 + dx] == b:
                        y1, x1 = y1 + dy, x1 + dx
                cell = out[min(a, b), max(a, b)]
                cell[PAIRS] += 1.0
                step = unexplained_step(disparity, planes, y, x, j, i, pinhole)
                z = 1.0 / max(disparity[y, x], disparity[j, i])
                gap = step * z * z
                if gap > jump_m and step > jump * sigma[y, x]:
                    cell[JUMPS] += 1.0
                    cell[GAP] += min(gap, 0.5)
                else:
                    turn = bending(planes, disparity, y0, x0, y1, x1, pinhole)
                    if turn > 0:
                        cell[CONCAVE] += turn
                    else:
                        cell[CONVEX] -= turn
                cell[CONTRAST] += difference(color[y0, x0], color[y1, x1])
    for a in range(count):
        for b in range(a):
            out[a, b] = out[b, a]
        sums[a, PERIMETER] = 0.0
    for a in range(count):
        for b in range(count):
            sums[a, PERIMETER] += out[a, b, PAIRS]
    return out


@njit(cache=True, nogil=True)
def settle(
    labels: I32, sums: F64, disparity: F32, sigma: F32, color: F32,
    pinhole: Pinhole, jump: float, contrast: float, radius: int,
) -> I32:
    """Give each measured pixel without a patch to the one near by whose plane and colour it fits best."""
    fx, fy, cx, cy = pinhole
    h, w = labels.shape
    count = sums.shape[0]
    planes = np.zeros((count, 6))
    for a in range(count):
        planes[a, 0], planes[a, 1], planes[a, 2], _ = plane_of(sums[a, MOMENTS : MOMENTS + 10])
        for k in range(3):
            planes[a, 3 + k] = sums[a, LIGHT + k] / sums[a, AREA]
    out = labels.copy()
    for v in range(h):
        for u in range(w):
            if labels[v, u] >= 0 or disparity[v, u] <= 0:
                continue
            x, y = (u - cx) / fx, (v - cy) / fy
            best = np.inf
            for j in range(max(v - radius, 0), min(v + radius + 1, h)):
                for i in range(max(u - radius, 0), min(u + radius + 1, w)):
                    a = labels[j, i]
                    if a < 0 or a == out[v, u]:
                        continue
                    p = planes[a]
                    off = abs(p[0] * x + p[1] * y + p[2] - disparity[v, u]) / (jump * sigma[v, u])
                    cost = off + difference(color[v, u], p[3:]) / contrast
                    if cost < best:
                        best = cost
                        out[v, u] = a
    return out
