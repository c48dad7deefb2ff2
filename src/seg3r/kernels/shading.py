"""The inner loops of the procedural world's renderer: solid textures, baked light, tone.

Light is diffuse and the world stands still, so it is computed once, at the points of a triangular grid on every face,
and interpolated: a frame then costs its primary rays and its textures only.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Vec = tuple[float, float, float]

# Numbers of seg3r.rooms.texture.PATTERNS.
PLAIN, PLASTER, WOOD, CARPET, WEAVE, STRIPES, CHECKS, TILES, PLANKS, POSTER, RUG = range(11)
CLOCK, LEAF, SCREEN, KEYS, DOTS, CARDBOARD, VIEW, SHADE, PAPER, BRICK = range(11, 21)


# ---- noise -----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, inline="always")
def lattice(ix: int, iy: int, iz: int) -> float:
    """A hash of a lattice point to 0..1 (integer mixing in the manner of Jarzynski & Olano, JCGT 2020)."""
    h = (ix * 73856093) ^ (iy * 19349663) ^ (iz * 83492791)
    h &= 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777215.0


@njit(cache=True, nogil=True)
def noise(x: float, y: float, z: float) -> float:
    """Value noise in 0..1 with features of size 1."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    ix, iy, iz = int(fx), int(fy), int(fz)
    x, y, z = x - fx, y - fy, z - fz
    x, y, z = x * x * (3 - 2 * x), y * y * (3 - 2 * y), z * z * (3 - 2 * z)
    a = lattice(ix, iy, iz) * (1 - x) + lattice(ix + 1, iy, iz) * x
    b = lattice(ix, iy + 1, iz) * (1 - x) + lattice(ix + 1, iy + 1, iz) * x
    c = lattice(ix, iy, iz + 1) * (1 - x) + lattice(ix + 1, iy, iz + 1) * x
    d = lattice(ix, iy + 1, iz + 1) * (1 - x) + lattice(ix + 1, iy + 1, iz + 1) * x
    return (a * (1 - y) + b * y) * (1 - z) + (c * (1 - y) + d * y) * z


@njit(cache=True, nogil=True, inline="always")
def resolved(wavelength: float, footprint: float) -> float:
    """How much of a wave a pixel of this footprint can show, 0..1: what it cannot would alias."""
    return min(1.0, max(0.0, (wavelength / footprint - 1.5) / 2.5))


@njit(cache=True, nogil=True)
def mottling(x: float, y: float, z: float, size: float, footprint: float) -> float:
    """Three octaves around 0, about -0.5..0.5; octaves too fine for the pixel are left out."""
    total, amplitude = 0.0, 0.5
    for octave in range(3):
        keep = resolved(size, footprint)
        if keep > 0:
            total += amplitude * keep * (noise(x / size + 17.3 * octave, y / size, z / size) - 0.5)
        size *= 0.43
        amplitude *= 0.6
    return total * 2


@njit(cache=True, nogil=True, inline="always")
def smooth_step(x: float, low: float, high: float) -> float:
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)


@njit(cache=True, nogil=True, inline="always")
def wave(x: float) -> float:
    """Distance to the nearest integer, 0..0.5."""
    return abs(x - math.floor(x + 0.5))


@njit(cache=True, nogil=True)
def bright(seed: float, k: int) -> Vec:
    """The k-th of a picture's colours."""
    hue = lattice(int(seed * 1000), k, 5) * 6.0
    value = 0.25 + 0.55 * lattice(int(seed * 1000), k, 6)
    dull = 0.08 + 0.5 * lattice(int(seed * 1000), k, 7)
    r = min(1.0, max(0.0, abs(hue - 3.0) - 1.0))
    g = min(1.0, max(0.0, 2.0 - abs(hue - 2.0)))
    b = min(1.0, max(0.0, 2.0 - abs(hue - 4.0)))
    return (
        value * (dull + (1 - dull) * r) ** 1.5, value * (dull + (1 - dull) * g) ** 1.5,
        value * (dull + (1 - dull) * b) ** 1.5,
    )


# ---- textures: a mix t of the colours a and b, times a brightness g; or a colour of their own ------------------------


@njit(cache=True, nogil=True)
def solid(kind: int, x: float, y: float, z: float, s: float, foot: float) -> tuple[float, float]:
    """(t, g) of the patterns that fill space; s is their scale."""
    t, g = 0.0, 1.0
    if kind == PLASTER:
        g = 1 + 0.10 * mottling(x, y, z, 0.9, foot) + 0.14 * mottling(x, y, z, 0.05, foot)
        t = max(0.0, mottling(x + 3, y, z, 0.35, foot)) * 0.5
    elif kind in (WOOD, PLANKS):
        if kind == PLANKS:
            row = math.floor(y / s)
            shift = lattice(row, 3, 0) * 1.4
            plank = math.floor((x + shift) / 1.4)
            tint = lattice(row, plank, 1)
            across, along = wave(y / s) * s, wave((x + shift) / 1.4) * 1.4
            gap = max(1 - smooth_step(across, 0.0012, 0.0035), 1 - smooth_step(along, 0.0012, 0.0035))
            g = (0.82 + 0.36 * tint) * (1 - 0.55 * gap * resolved(0.012, foot))
            x, y, z = x + 9 * tint, y + 7 * tint, z + 3 * tint
        bend = mottling(x * 0.16, y, z, 0.12, foot)
        rings = 0.5 + 0.5 * math.sin(2 * math.pi * ((y + 0.6 * z) / 0.045 + 2.2 * bend))
        fibre = mottling(x * 0.06, y, z, 0.009, foot)
        t = (0.25 + 0.75 * rings * resolved(0.045, foot)) * 0.55 + 0.5 * fibre
        g *= 1 + 0.22 * bend
    elif kind == CARPET:
        g = 1 + 0.5 * mottling(x, y, z, 0.022, foot) + 0.16 * mottling(x, y, z, 0.5, foot)
        t = 0.5 + 1.2 * mottling(x + 5, y, z, 0.12, foot)
    elif kind == WEAVE:
        fine = resolved(s, foot)
        warp, weft = math.sin(2 * math.pi * x / s), math.sin(2 * math.pi * (y + 0.37 * z) / s)
        g = 1 + 0.13 * fine * warp * weft + 0.16 * mottling(x, y, z, 0.16, foot) + 0.14 * mottling(x, y, z, 0.02, foot)
        t = 0.5 + 0.9 * mottling(x, y + 2, z, 0.05, foot)
    elif kind == STRIPES:
        edge = max(0.06, foot / s)
        t = smooth_step(wave(x / s) * 2, 0.5 - edge, 0.5 + edge)
        g = 1 + 0.10 * mottling(x, y, z, 0.03, foot) + 0.1 * mottling(x, y, z, 0.3, foot)
    elif kind == CHECKS:
        edge = max(0.08, foot / s)
        t = 0.5 * smooth_step(wave(x / s) * 2, 0.5 - edge, 0.5 + edge)
        t += 0.5 * smooth_step(wave((y + z) / s) * 2, 0.5 - edge, 0.5 + edge)
        g = 1 + 0.12 * mottling(x, y, z, 0.02, foot)
    elif kind == DOTS:
        up = (y + z) / s
        cx, cy = wave(x / s + 0.5 * (math.floor(up) % 2)), wave(up - 0.5)
        edge = max(0.03, foot / s)
        t = 1 - smooth_step(math.sqrt(cx * cx + cy * cy), 0.27 - edge, 0.27 + edge)
        g = 1 + 0.08 * mottling(x, y, z, 0.04, foot)
    elif kind == TILES:
        gap = min(wave(x / s), wave(y / s), wave(z / s) + 0.5) * s
        tint = lattice(math.floor(x / s + 0.5), math.floor(y / s + 0.5), 2)
        g = 0.9 + 0.2 * tint + 0.09 * mottling(x, y, z, 0.12, foot)
        t = (1 - smooth_step(gap, 0.002, 0.005)) * resolved(0.02, foot)
    elif kind == BRICK:
        row = math.floor(z / s)
        shift = 0.5 * (row % 2)
        along = (x + y) / (3 * s) + shift
        gap = min(wave(along) * 3 * s, wave(z / s) * s)
        tint = lattice(math.floor(along + 0.5), row, 4)
        g = 0.75 + 0.5 * tint + 0.2 * mottling(x, y, z, 0.03, foot)
        t = (1 - smooth_step(gap, 0.004, 0.009)) * resolved(0.03, foot)
    elif kind == CARDBOARD:
        g = 1 + 0.10 * mottling(x, y, z, 0.06, foot) + 0.05 * resolved(0.008, foot) * math.sin(2 * math.pi * x / 0.008)
        t = 1 - smooth_step(abs(y - s), 0.024, 0.027)
    elif kind == PAPER:
        g = 1 - 0.25 * resolved(s, foot) * (wave(z / s) * 2) + 0.06 * mottling(x, y, z, 0.02, foot)
    else:
        g = 1 + 0.06 * mottling(x, y, z, 0.10, foot)
        t = 0.5 * max(0.0, mottling(x, y, z, 0.03, foot))
    return min(1.0, max(0.0, t)), g


@njit(cache=True, nogil=True)
def landscape(x: float, y: float, seed: float) -> Vec:
    """Sky, sun, three rows of hills."""
    sky, low = bright(seed, 0), bright(seed, 1)
    f = 0.5 + 0.5 * y
    color = (
        (0.55 + 0.45 * sky[0]) * f + (0.5 + 0.5 * low[0]) * (1 - f),
        (0.55 + 0.45 * sky[1]) * f + (0.5 + 0.5 * low[1]) * (1 - f),
        (0.60 + 0.40 * sky[2]) * f + (0.5 + 0.5 * low[2]) * (1 - f),
    )
    sun_x, sun_y = 1.2 * lattice(int(seed * 1000), 8, 8) - 0.6, 0.25 + 0.4 * lattice(int(seed * 1000), 9, 8)
    if (x - sun_x) ** 2 + (y - sun_y) ** 2 < 0.035:
        color = (0.95, 0.85, 0.45)
    for row in range(3):
        crest = 0.25 - 0.35 * row + 0.55 * (noise(x * (1.2 + 0.8 * row) + 10 * seed, 3.0 * row, 0.5) - 0.5)
        if y < crest:
            c = bright(seed, 2 + row)
            texture = 0.75 + 0.5 * noise(x * 14, y * 14, seed)
            color = (c[0] * texture, c[1] * texture, c[2] * texture)
    return color


@njit(cache=True, nogil=True)
def graphic(kind: int, x: float, y: float, a: Vec, b: Vec, scale: float, contrast: float, seed: float) -> Vec:
    """Flat patterns over x, y in about -1..1."""
    c = a
    if kind == POSTER:
        variant = int(lattice(int(seed * 1000), 1, 1) * 3)
        if variant == 0:
            return landscape(x, y, seed)
        c = bright(seed, 0)
        f = 0.5 + 0.5 * (y if variant == 1 else x)
        e = bright(seed, 1)
        c = (c[0] * f + e[0] * (1 - f), c[1] * f + e[1] * (1 - f), c[2] * f + e[2] * (1 - f))
        for k in range(7):
            h = int(seed * 1000) + 31 * k
            px, py = 1.8 * lattice(h, 2, 1) - 0.9, 1.8 * lattice(h, 3, 1) - 0.9
            r = 0.12 + 0.4 * lattice(h, 4, 1)
            dx, dy = x - px, y - py
            shape = int(lattice(h, 5, 1) * 4)
            inside = dx * dx + dy * dy < r * r
            if shape == 1:
                inside = abs(dx) < r and abs(dy) < 0.6 * r
            elif shape == 2:
                inside = dy > -0.6 * r and dy < 1.1 * r - 2 * abs(dx)
            elif shape == 3:
                d = math.sqrt(dx * dx + dy * dy)
                inside = d < r and d > 0.6 * r
            if inside:
                c = bright(seed, 2 + k)
        if variant == 2 and y < -0.55:
            line = (-0.55 - y) / 0.09
            c = (0.85, 0.84, 0.80)
            if line - math.floor(line) > 0.45 and abs(x) < 0.5 + 0.35 * lattice(int(seed * 999), int(line), 3):
                c = (0.06, 0.06, 0.08)
    elif kind == RUG:
        edge = max(abs(x), abs(y))
        g = 0.9 + 0.2 * noise(x * 60, y * 60, seed)
        round_ = math.sqrt(x * x + y * y)
        style = int(seed * 1000) % 3
        on = edge > 0.80 and edge < 0.92
        if style == 0:
            on = on or (abs(wave(round_ * scale) - 0.25) < 0.11 and edge < 0.75)
        elif style == 1:
            on = on or (wave((x + y) * scale) + wave((x - y) * scale) < 0.42 and edge < 0.75)
        else:
            on = on or (wave(x * scale) > 0.3 and edge < 0.75)
        m = contrast if on else 0.0
        c = ((a[0] * (1 - m) + b[0] * m) * g, (a[1] * (1 - m) + b[1] * m) * g, (a[2] * (1 - m) + b[2] * m) * g)
    elif kind == CLOCK:
        r, angle = math.sqrt(x * x + y * y), math.atan2(x, y) / (2 * math.pi)
        tick = r > 0.74 and r < 0.90 and wave(angle * 12) < 0.07 / max(r, 0.1)
        hour, minute = 2 * math.pi * lattice(int(seed * 1000), 1, 2), 2 * math.pi * lattice(int(seed * 1000), 2, 2)
        for turn, reach, width in ((hour, 0.5, 0.06), (minute, 0.72, 0.045)):
            along, off = x * math.sin(turn) + y * math.cos(turn), x * math.cos(turn) - y * math.sin(turn)
            tick = tick or (along > -0.1 and along < reach and abs(off) < width)
        c = b if tick else a
    elif kind == LEAF:
        vein = 1 - 0.4 * (1 - smooth_step(abs(y), 0.03, 0.12))
        g = (0.8 + 0.35 * noise(x * 9, y * 5, seed)) * vein
        c = (a[0] * g, a[1] * g, a[2] * g)
    elif kind == SCREEN:
        c = (a[0] * (0.7 + 0.3 * y), a[1] * (0.7 + 0.3 * y), a[2] * (0.7 + 0.3 * y))
        if contrast > 0:
            if y < -0.86:
                c = (0.03, 0.03, 0.04)
            for k in range(3):
                h = int(seed * 1000) + 13 * k
                px, py = 1.0 * lattice(h, 2, 2) - 0.5, 0.8 * lattice(h, 3, 2) - 0.35
                w, t = 0.25 + 0.25 * lattice(h, 4, 2), 0.22 + 0.25 * lattice(h, 5, 2)
                if abs(x - px) < w and abs(y - py) < t:
                    c = (0.75, 0.76, 0.78)
                    line = (py + t - y) / 0.07
                    if line < 1:
                        c = bright(seed, k)
                    elif line - math.floor(line) > 0.5 and x - px < w * (1.6 * lattice(h, int(line), 3) - 0.9):
                        c = (0.15, 0.16, 0.20)
    elif kind == KEYS:
        u, w = x * 7.5, y * 2.6
        gap = min(0.5 - wave(u), 0.5 - wave(w + 0.5))
        c = b if gap > 0.10 and abs(x) < 0.96 and abs(y) < 0.90 else a
    elif kind == VIEW:
        crest = -0.25 + 0.35 * (noise(x * 3 + seed, 1.0, seed) - 0.5)
        f = min(1.0, max(0.0, 0.5 + 0.6 * y))
        c = (0.95 - 0.35 * f, 0.97 - 0.17 * f, 1.0)
        if y < crest:
            g = 0.35 + 0.5 * noise(x * 16, y * 16, seed)
            c = (0.30 * g, 0.48 * g, 0.22 * g)
        if y < -0.62:
            g = 0.8 + 0.2 * noise(x * 20, y * 20, seed)
            c = (0.46 * g, 0.50 * g, 0.40 * g)
    elif kind == SHADE:
        f = math.exp(-1.5 * (y + 0.1) ** 2)
        c = (a[0] * (0.75 + 0.45 * f), a[1] * (0.75 + 0.4 * f), a[2] * (0.75 + 0.3 * f))
    return c


@njit(cache=True, nogil=True)
def albedo(kind: int, x: float, y: float, z: float, row: F32, footprint: float) -> Vec:
    """Colour of a surface point, linear. `row`: as `texture.table` makes it."""
    a, b = (float(row[0]), float(row[1]), float(row[2])), (float(row[3]), float(row[4]), float(row[5]))
    if (kind >= POSTER and kind <= KEYS) or kind in (VIEW, SHADE):
        return graphic(kind, x, y, a, b, row[6], row[7], row[9])
    shift = 13.7 * row[9]
    t, g = solid(kind, x + shift, y + 0.7 * shift, z, row[6], footprint)
    t *= row[7]
    return (a[0] + (b[0] - a[0]) * t) * g, (a[1] + (b[1] - a[1]) * t) * g, (a[2] + (b[2] - a[2]) * t) * g


# ---- light -----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def light_grid(vertices: F32, faces: I32, spacing_m: float) -> tuple[I32, I64]:
    """Subdivisions of each face, and where its grid of (n + 1)(n + 2) / 2 points starts (one entry more: the end).

    Slivers count by their area: across them light hardly changes.
    """
    count = np.empty(faces.shape[0], np.int32)
    start = np.zeros(faces.shape[0] + 1, np.int64)
    for f in range(faces.shape[0]):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        ab, ac, bc = b - a, c - a, c - b
        longest = math.sqrt(max((ab * ab).sum(), (ac * ac).sum(), (bc * bc).sum()))
        nx, ny, nz = ab[1] * ac[2] - ab[2] * ac[1], ab[2] * ac[0] - ab[0] * ac[2], ab[0] * ac[1] - ab[1] * ac[0]
        side = math.sqrt(math.sqrt(nx * nx + ny * ny + nz * nz))
        n = math.ceil(max(side, longest / 4) / spacing_m)
        count[f] = min(max(n, 1), 64)
        start[f + 1] = start[f] + (count[f] + 1) * (count[f] + 2) // 2
    return count, start


@njit(cache=True, nogil=True)
def light_points(vertices: F32, normals: F32, faces: I32, count: I32, start: I64) -> tuple[F32, F32]:
    """Positions just off the surface, pulled in from the face's edges, and normals of all grid points."""
    points = np.empty((start[-1], 3), np.float32)
    facing = np.empty((start[-1], 3), np.float32)
    for f in range(faces.shape[0]):
        i0, i1, i2 = faces[f]
        n, at = count[f], start[f]
        for i in range(n + 1):
            for j in range(n + 1 - i):
                u, v = i / n, j / n
                u, v = u + (1 / 3 - u) * 0.04 / n, v + (1 / 3 - v) * 0.04 / n
                w = 1 - u - v
                norm = 0.0
                for k in range(3):
                    facing[at, k] = w * normals[i0, k] + u * normals[i1, k] + v * normals[i2, k]
                    norm += facing[at, k] ** 2
                norm = math.sqrt(max(norm, 1e-12))
                for k in range(3):
                    facing[at, k] /= norm
                    points[at, k] = (
                        w * vertices[i0, k] + u * vertices[i1, k] + v * vertices[i2, k] + 0.003 * facing[at, k]
                    )
                at += 1
    return points, facing


@njit(cache=True, nogil=True)
def turn_to(facing: F32, local: F32, out: F32) -> None:
    """`local` directions about +z into the hemisphere of each normal (frames: Duff et al., JCGT 2017).

    out: [n, m, 3].
    """
    for i in range(facing.shape[0]):
        x, y, z = facing[i]
        sign = 1.0 if z >= 0 else -1.0
        a = -1.0 / (sign + z)
        b = x * y * a
        for s in range(local.shape[0]):
            p, q, r = local[s]
            out[i, s, 0] = p * (1 + sign * x * x * a) + q * b + r * x
            out[i, s, 1] = p * sign * b + q * (sign + y * y * a) + r * y
            out[i, s, 2] = -p * sign * x - q * y + r * z


@njit(cache=True, nogil=True)
def add_light(points: F32, facing: F32, at: F32, axis: F32, color: F32, blocked: I32, light: F32) -> None:
    """Add one sample of a light to the points that see it. axis 0: shines in all directions, else a cosine about it."""
    for i in range(points.shape[0]):
        if blocked[i] >= 0:
            continue
        dx, dy, dz = at[0] - points[i, 0], at[1] - points[i, 1], at[2] - points[i, 2]
        d2 = dx * dx + dy * dy + dz * dz
        d = math.sqrt(d2)
        lit = (dx * facing[i, 0] + dy * facing[i, 1] + dz * facing[i, 2]) / d
        if axis[0] != 0 or axis[1] != 0 or axis[2] != 0:
            lit *= max(0.0, -(dx * axis[0] + dy * axis[1] + dz * axis[2]) / d)
        if lit > 0:
            for k in range(3):
                light[i, k] += color[k] * lit / max(d2, 0.5)


@njit(cache=True, nogil=True)
def shade(
    face: I32, u: F32, v: F32, depth: F32, directions: F32, eye: F32, faces: I32, normals: F32, coords: F32,
    face_material: I32, kinds: I32, table: F32, light: F32, count: I32, start: I64, lamp: F32, pixel: float, out: F32,
) -> None:
    """Linear colour of every hit. face -1: black.

    Args:
        u, v: weights of each face's second and third corner.
        directions: of the rays, unit step along the optical axis.
        pixel: footprint of a pixel at 1 m.
    """
    for i in range(face.shape[0]):
        f = face[i]
        if f < 0:
            out[i, 0] = out[i, 1] = out[i, 2] = 0.0
            continue
        i0, i1, i2 = faces[f]
        wb, wc = u[i], v[i]
        wa = 1 - wb - wc
        m = face_material[f]
        dx, dy, dz = directions[i]
        nx = wa * normals[i0, 0] + wb * normals[i1, 0] + wc * normals[i2, 0]
        ny = wa * normals[i0, 1] + wb * normals[i1, 1] + wc * normals[i2, 1]
        nz = wa * normals[i0, 2] + wb * normals[i1, 2] + wc * normals[i2, 2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        steep = abs(nx * dx + ny * dy + nz * dz) / length
        r, g, b = albedo(
            kinds[m], wa * coords[i0, 0] + wb * coords[i1, 0] + wc * coords[i2, 0],
            wa * coords[i0, 1] + wb * coords[i1, 1] + wc * coords[i2, 1],
            wa * coords[i0, 2] + wb * coords[i1, 2] + wc * coords[i2, 2],
            table[m], depth[i] * pixel / max(0.25, math.sqrt(steep)),
        )
        n = count[f]
        p, q = wb * n, wc * n
        ip, iq = min(int(p), n - 1), min(int(q), n - 1)
        if ip + iq > n - 1:
            iq = n - 1 - ip
        p, q = p - ip, q - iq
        row = start[f] + ip * (n + 1) - ip * (ip - 1) // 2
        below = row + (n + 1 - ip)
        glow, gloss = table[m, 10], table[m, 8]
        shine = 0.0
        if gloss > 0:
            lx, ly, lz = (
                lamp[0] - eye[0] - depth[i] * dx, lamp[1] - eye[1] - depth[i] * dy, lamp[2] - eye[2] - depth[i] * dz,
            )
            ll = math.sqrt(lx * lx + ly * ly + lz * lz)
            hx, hy, hz = lx / ll - dx / length, ly / ll - dy / length, lz / ll - dz / length
            hh = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-6
            shine = gloss * max(0.0, (nx * hx + ny * hy + nz * hz) / hh) ** 40
        for k in range(3):
            if p + q <= 1 or ip + iq >= n - 1:
                lit = (1 - p - q) * light[row + iq, k] + p * light[below + iq, k] + q * light[row + iq + 1, k]
            else:
                lit = (
                    (1 - q) * light[below + iq, k] + (1 - p) * light[row + iq + 1, k]
                    + (p + q - 1) * light[below + iq + 1, k]
                )
            color = r if k == 0 else (g if k == 1 else b)
            out[i, k] = max(0.0, color * (max(0.0, lit) + glow) + shine * max(0.0, lit))


@njit(cache=True, nogil=True)
def tone(color: F32, exposure: float, curve: U8, out: U8) -> None:
    """Linear light to bytes by a curve sampled over 0..2."""
    top = curve.shape[0] - 1
    for i in range(color.shape[0]):
        for k in range(3):
            out[i, k] = curve[min(top, int(color[i, k] * exposure * (0.5 * top)))]


@njit(cache=True, nogil=True)
def contrast_map(rgb: U8, face_group: I32, out: U8) -> None:
    """How much each pixel differs from its right and lower neighbours, 0..255; a change of group counts in full."""
    H, W = face_group.shape
    out[:] = 0
    for y in range(H):
        for x in range(W):
            for dy, dx in ((0, 1), (1, 0)):
                if y + dy >= H or x + dx >= W:
                    continue
                step = 0
                for k in range(3):
                    step = max(step, abs(int(rgb[y, x, k]) - int(rgb[y + dy, x + dx, k])))
                if face_group[y, x] != face_group[y + dy, x + dx]:
                    step = max(step, min(255, 2 * step))
                out[y, x] = max(out[y, x], step)
                out[y + dy, x + dx] = max(out[y + dy, x + dx], step)
