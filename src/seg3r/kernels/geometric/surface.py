"""From a depth map and an image to a smooth disparity map with a plane at every pixel."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from seg3r.kernels.geometric.arrays import F32, U8, Pinhole


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
def unexplained_step(disparity: F32, planes: F32, y: int, x: int, j: int, i: int, pinhole: Pinhole) -> float:
    """The step in disparity between two pixels that neither's plane explains."""
    fx, fy, _, _ = pinhole
    gu, gv = (i - x) / fx, (j - y) / fy
    e = disparity[j, i] - disparity[y, x]
    here = abs(e - planes[y, x, 0] * gu - planes[y, x, 1] * gv)
    there = abs(e - planes[j, i, 0] * gu - planes[j, i, 1] * gv)
    return float(min(here, there))


@njit(cache=True, nogil=True)
def bending(planes: F32, disparity: F32, y: int, x: int, j: int, i: int, pinhole: Pinhole) -> float:
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
