"""The inner loops of the geometric segmenter: from a depth map and an image to patches, and from patches to objects.

Everything lives in the camera's frame and in disparity d = 1/z. There a plane n.X = 1 is linear in the image,
d = n.(x, y, 1) with x = (u - cx) / fx, so local fits are 3-parameter least squares; and the noise of structured-light
sensors, quadratic in z, is nearly constant.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Pinhole = tuple[float, float, float, float]
"""fx, fy, cx, cy in pixels of the reduced image."""


@njit(cache=True, nogil=True)
def noise_m(z: float, floor: float, growth: float) -> float:
    """Standard deviation of a structured-light depth (axial model of Nguyen, Izadi & Lovell, 3DIMPVT 2012)."""
    return floor + growth * (z - 0.4) * (z - 0.4)


@njit(cache=True, nogil=True, inline="always")
def difference(a: F32, b: F32) -> float:
    """Of two colours; lightness counts half, for it changes with the light."""
    e, f, g = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return float(math.sqrt(0.25 * e * e + f * f + g * g))


@njit(cache=True, nogil=True)
def shrink(depth: F32, rgb: U8, step: int) -> tuple[F32, F32]:
    """Disparity [h w] (0 = none) and colour [h w 3] of step x step blocks.

    Disparity is the mean over those pixels of a block that lie within 3 % of its nearest: a mean over a jump would
    invent a surface. Colour is lightness and two opponent channels (red - green, yellow - blue) in square-root
    intensities, 0..255.
    """
    h, w = depth.shape[0] // step, depth.shape[1] // step
    disparity = np.zeros((h, w), np.float32)
    color = np.zeros((h, w, 3), np.float32)
    for y in range(h):
        for x in range(w):
            near = np.float32(np.inf)
            r, g, b = 0.0, 0.0, 0.0
            for j in range(y * step, y * step + step):
                for i in range(x * step, x * step + step):
                    z = depth[j, i]
                    if 0.0 < z < near:
                        near = z
                    r += rgb[j, i, 0]
                    g += rgb[j, i, 1]
                    b += rgb[j, i, 2]
            share = 255.0 / (step * step)
            r, g, b = math.sqrt(r * share), math.sqrt(g * share), math.sqrt(b * share)
            color[y, x, 0] = (r + g + b) / 3.0
            color[y, x, 1] = r - g
            color[y, x, 2] = 0.5 * (r + g) - b
            if near < np.inf:
                total, count = 0.0, 0
                for j in range(y * step, y * step + step):
                    for i in range(x * step, x * step + step):
                        z = depth[j, i]
                        if 0.0 < z <= 1.03 * near:
                            total += 1.0 / z
                            count += 1
                disparity[y, x] = total / count
    return disparity, color


@njit(cache=True, nogil=True)
def disparity_noise(disparity: F32, floor: float, growth: float) -> F32:
    """Standard deviation of each disparity."""
    out = np.zeros_like(disparity)
    for y in range(disparity.shape[0]):
        for x in range(disparity.shape[1]):
            d = disparity[y, x]
            if d > 0:
                out[y, x] = noise_m(1.0 / d, floor, growth) * d * d
    return out


@njit(cache=True, nogil=True)
def smooth_disparity(disparity: F32, sigma: F32, radius: int, reach: float) -> F32:
    """Edge-preserving mean: neighbours count less the further they lie, none beyond `reach` standard deviations."""
    h, w = disparity.shape
    out = np.zeros_like(disparity)
    for y in range(h):
        for x in range(w):
            d = disparity[y, x]
            if d <= 0:
                continue
            scale = 1.0 / (reach * sigma[y, x])
            total, weight = 0.0, 0.0
            for j in range(max(y - radius, 0), min(y + radius + 1, h)):
                for i in range(max(x - radius, 0), min(x + radius + 1, w)):
                    t = (disparity[j, i] - d) * scale
                    if disparity[j, i] > 0 and -1.0 < t < 1.0:
                        k = (1.0 - t * t) * (1.0 - t * t)
                        total += k * disparity[j, i]
                        weight += k
            out[y, x] = total / weight
    return out


@njit(cache=True, nogil=True)
def smooth_color(color: F32, radius: int, reach: float) -> F32:
    """Edge-preserving mean of the colour: takes off grain and weak texture."""
    h, w = color.shape[:2]
    out = np.zeros_like(color)
    scale = 1.0 / (reach * reach)
    for y in range(h):
        for x in range(w):
            a, b, c = color[y, x, 0], color[y, x, 1], color[y, x, 2]
            ta, tb, tc, weight = 0.0, 0.0, 0.0, 0.0
            for j in range(max(y - radius, 0), min(y + radius + 1, h)):
                for i in range(max(x - radius, 0), min(x + radius + 1, w)):
                    ea, eb, ec = color[j, i, 0] - a, color[j, i, 1] - b, color[j, i, 2] - c
                    t = (ea * ea + eb * eb + ec * ec) * scale
                    if t < 1.0:
                        k = (1.0 - t) * (1.0 - t)
                        ta += k * ea
                        tb += k * eb
                        tc += k * ec
                        weight += k
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = a + ta / weight, b + tb / weight, c + tc / weight
    return out


@njit(cache=True, nogil=True)
def fit_planes(disparity: F32, sigma: F32, pinhole: Pinhole, radius: int, reach: float) -> F32:
    """[h w 3] n of the local plane n.X = 1 (so it points away from the camera, its length is 1 / distance).

    Least squares in a window over the pixels within `reach` standard deviations of a first guess of the plane (the
    flatter of the one-sided differences along each axis): a window over an edge keeps to its own side.
    Too few pixels: the plane facing the camera.
    """
    fx, fy, cx, cy = pinhole
    h, w = disparity.shape
    out = np.zeros((h, w, 3), np.float32)
    for y in range(h):
        for x in range(w):
            d = disparity[y, x]
            if d <= 0:
                continue
            gu, gv = _slope(disparity, y, x, 0, 1), _slope(disparity, y, x, 1, 0)
            limit = reach * sigma[y, x]
            s, su, sv, suu, suv, svv, sd, sud, svd = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for dv in range(-radius, radius + 1, 2):
                j = y + dv
                if j < 0 or j >= h:
                    continue
                for du in range(-radius, radius + 1, 2):
                    i = x + du
                    if i < 0 or i >= w or disparity[j, i] <= 0:
                        continue
                    e = disparity[j, i] - d
                    if abs(e - gu * du - gv * dv) > limit:
                        continue
                    s += 1.0
                    su += du
                    sv += dv
                    suu += du * du
                    suv += du * dv
                    svv += dv * dv
                    sd += e
                    sud += du * e
                    svd += dv * e
            if s >= 4.0:
                cuu, cuv, cvv = suu - su * su / s, suv - su * sv / s, svv - sv * sv / s
                cud, cvd = sud - su * sd / s, svd - sv * sd / s
                det = cuu * cvv - cuv * cuv
                if det > 1e-6 * (cuu + cvv) * (cuu + cvv):
                    gu = (cud * cvv - cvd * cuv) / det
                    gv = (cvd * cuu - cud * cuv) / det
                    d += (sd - gu * su - gv * sv) / s
            A, B = gu * fx, gv * fy
            out[y, x, 0], out[y, x, 1] = A, B
            out[y, x, 2] = d - A * (x - cx) / fx - B * (y - cy) / fy
    return out


@njit(cache=True, nogil=True)
def _slope(disparity: F32, y: int, x: int, dy: int, dx: int) -> float:
    """Per pixel along one axis: the smaller of the differences to either side over two pixels; 0 without any."""
    h, w = disparity.shape
    best = 0.0
    found = False
    for sign in (-2, 2):
        j, i = y + sign * dy, x + sign * dx
        if 0 <= j < h and 0 <= i < w and disparity[j, i] > 0:
            slope = (disparity[j, i] - disparity[y, x]) / sign
            if not found or abs(slope) < abs(best):
                best = slope
                found = True
    return float(best)


@njit(cache=True, nogil=True)
def edge_weights(
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


@njit(cache=True, nogil=True)
def _step(disparity: F32, planes: F32, y: int, x: int, j: int, i: int, pinhole: Pinhole) -> float:
    """The step in disparity between two pixels that neither's plane explains."""
    fx, fy, _, _ = pinhole
    gu, gv = (i - x) / fx, (j - y) / fy
    e = disparity[j, i] - disparity[y, x]
    here = abs(e - planes[y, x, 0] * gu - planes[y, x, 1] * gv)
    there = abs(e - planes[j, i, 0] * gu - planes[j, i, 1] * gv)
    return float(min(here, there))


@njit(cache=True, nogil=True)
def bend(planes: F32, disparity: F32, y: int, x: int, j: int, i: int, pinhole: Pinhole) -> float:
    """Angle between the normals at two pixels, positive where the surface is concave (LCCP's criterion)."""
    fx, fy, cx, cy = pinhole
    a0, a1, a2 = planes[y, x, 0], planes[y, x, 1], planes[y, x, 2]
    b0, b1, b2 = planes[j, i, 0], planes[j, i, 1], planes[j, i, 2]
    na = math.sqrt(a0 * a0 + a1 * a1 + a2 * a2) + 1e-12
    nb = math.sqrt(b0 * b0 + b1 * b1 + b2 * b2) + 1e-12
    a0, a1, a2, b0, b1, b2 = a0 / na, a1 / na, a2 / na, b0 / nb, b1 / nb, b2 / nb
    cosine = min(1.0, max(-1.0, a0 * b0 + a1 * b1 + a2 * b2))
    za, zb = 1.0 / disparity[y, x], 1.0 / disparity[j, i]
    ex = (i - cx) / fx * zb - (x - cx) / fx * za
    ey = (j - cy) / fy * zb - (y - cy) / fy * za
    ez = zb - za
    towards = (b0 - a0) * ex + (b1 - a1) * ey + (b2 - a2) * ez
    angle = math.acos(cosine)
    return angle if towards > 0 else -angle


WIDE = 2
"""Pixels to either side of an edge at which normals are compared: fits blur a crease over about as many."""


@njit(cache=True, nogil=True)
def _dissimilarity(
    disparity: F32, sigma: F32, planes: F32, color: F32, y: int, x: int, j: int, i: int,
    pinhole: Pinhole, jump: float, angle: float, contrast: float,
) -> float:
    step = _step(disparity, planes, y, x, j, i, pinhole) / (jump * sigma[y, x])
    h, w = disparity.shape
    dy, dx = (j - y) * WIDE, (i - x) * WIDE
    y0, x0, y1, x1 = y - dy, x - dx, j + dy, i + dx
    if y0 < 0 or x0 < 0 or disparity[max(y0, 0), max(x0, 0)] <= 0:
        y0, x0 = y, x
    if y1 >= h or x1 >= w or disparity[min(y1, h - 1), min(x1, w - 1)] <= 0:
        y1, x1 = j, i
    turn = bend(planes, disparity, y0, x0, y1, x1, pinhole) / angle
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


AREA, LIGHT, RED, YELLOW, HISTOGRAM = 0, 1, 2, 3, 4
"""Columns of a region's sums: pixels, color, and its histogram (`COLOURS` bins)."""
_LIGHT_BINS, _CHROMA_BINS = 6, 6
COLOURS = _LIGHT_BINS + _CHROMA_BINS * _CHROMA_BINS
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
            fl = min(max(light * ((_LIGHT_BINS - 1) / 256.0), 0.0), _LIGHT_BINS - 1.001)
            fr = min(max((red + 75.0) * ((_CHROMA_BINS - 1) / 150.0), 0.0), _CHROMA_BINS - 1.001)
            fb = min(max((yellow + 75.0) * ((_CHROMA_BINS - 1) / 150.0), 0.0), _CHROMA_BINS - 1.001)
            il, ir, ib = int(fl), int(fr), int(fb)
            fl, fr, fb = fl - il, fr - ir, fb - ib
            row[HISTOGRAM + il] += 1.0 - fl
            row[HISTOGRAM + il + 1] += fl
            at = HISTOGRAM + _LIGHT_BINS + ir * _CHROMA_BINS + ib
            row[at] += (1.0 - fr) * (1.0 - fb)
            row[at + 1] += (1.0 - fr) * fb
            row[at + _CHROMA_BINS] += fr * (1.0 - fb)
            row[at + _CHROMA_BINS + 1] += fr * fb
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
def misfit_to(m: F64, plane: F64) -> float:
    """Sum over a region's pixels of the squared distance to a plane n.X = 1, in standard deviations of disparity."""
    a, b, c = plane[0], plane[1], plane[2]
    fit = (
        a * a * m[0] + b * b * m[3] + c * c * m[5] + 2.0 * (a * b * m[1] + a * c * m[2] + b * c * m[4])
        - 2.0 * (a * m[6] + b * m[7] + c * m[8]) + m[9]
    )
    return float(max(fit, 0.0))


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
                step = _step(disparity, planes, y, x, j, i, pinhole)
                z = 1.0 / max(disparity[y, x], disparity[j, i])
                gap = step * z * z
                if gap > jump_m and step > jump * sigma[y, x]:
                    cell[JUMPS] += 1.0
                    cell[GAP] += min(gap, 0.5)
                else:
                    turn = bend(planes, disparity, y0, x0, y1, x1, pinhole)
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
    for k in range(HISTOGRAM, HISTOGRAM + _LIGHT_BINS):
        light += math.sqrt(s[k] * t[k])
    for k in range(HISTOGRAM + _LIGHT_BINS, HISTOGRAM + COLOURS):
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
def masks_of(labels: I32, slots: I32, count: int) -> Bool:
    """[count H W]: mask slots[label] holds the pixels of `label`; labels with slot -1 are left out."""
    H, W = labels.shape
    out = np.zeros((count, H, W), np.bool_)
    for y in range(H):
        for x in range(W):
            label = labels[y, x]
            if label >= 0 and slots[label] >= 0:
                out[slots[label], y, x] = True
    return out
