"""Solids as triangle soups: boxes, lathed profiles (cylinders, frusta, bowls) and superellipsoids (cushions)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seg3r.rooms.materials import Material

F32 = npt.NDArray[np.float32]
Vec = Sequence[float]


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of a thing, in the thing's frame (metres, z up, +y its front, origin where it stands)."""

    corners: F32
    """[f 3 3]: corners of each triangle, counter-clockwise from outside."""
    normals: F32
    """[f 3 3]: of the smooth surface, at each corner."""
    material: Material

    def moved(self, offset: Vec, yaw: float = 0.0) -> Part:
        """Turned about z, then shifted."""
        R = turn(yaw)
        corners = self.corners.astype(np.float64) @ R.T + np.asarray(offset, np.float64)
        return Part(corners.astype(np.float32), (self.normals @ R.T).astype(np.float32), self.material)

    def tilted(self, angle: float, pivot: Vec) -> Part:
        """Turned about the x axis through `pivot`; positive leans the top back (towards -y)."""
        c, s = np.cos(angle), np.sin(angle)
        R = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        at = np.asarray(pivot, np.float64)
        corners = (self.corners - at) @ R.T + at
        return Part(corners.astype(np.float32), (self.normals @ R.T).astype(np.float32), self.material)


def turn(yaw: float) -> npt.NDArray[np.float64]:
    """Rotation about z."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _flat(corners: npt.NDArray[np.float64], material: Material) -> Part:
    n = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)
    return Part(corners.astype(np.float32), np.repeat(n[:, None], 3, 1).astype(np.float32), material)


_QUADS = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])
_UNIT = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], np.float64)


def box(size: Vec, base: Vec, material: Material, top: float = 1.0) -> Part:
    """A box whose bottom face is centred at `base`; its top face is scaled by `top` (a frustum)."""
    v = _UNIT - (0.5, 0.5, 0.0)
    v[4:, :2] *= top
    v = v * np.asarray(size, np.float64) + np.asarray(base, np.float64)
    return _flat(v[_QUADS[:, [0, 1, 2, 0, 2, 3]]].reshape(-1, 3, 3), material)


def lathe(profile: Sequence[tuple[float, float]], base: Vec, material: Material, sides: int = 20) -> Part:
    """A profile of (radius, height) from the bottom up, turned about the vertical through `base`.

    A profile that goes up outside and down inside makes a bowl; start or end at radius 0 to close it.
    """
    angle = np.arange(sides + 1) * (2 * np.pi / sides)
    ring = np.stack((np.cos(angle), np.sin(angle), np.zeros(sides + 1)), 1)
    ring[-1] = ring[0]
    corners, normals = [], []
    for (r0, z0), (r1, z1) in zip(profile[:-1], profile[1:], strict=True):
        length = max(float(np.hypot(r1 - r0, z1 - z0)), 1e-9)
        n = ring * ((z1 - z0) / length) + (0, 0, (r0 - r1) / length)
        low, high = ring * r0 + (0, 0, z0), ring * r1 + (0, 0, z1)
        a, b, c, d = low[:-1], low[1:], high[1:], high[:-1]
        na, nb = n[:-1], n[1:]
        if r0 > 0:
            corners.append(np.stack((a, b, c), 1))
            normals.append(np.stack((na, nb, nb), 1))
        if r1 > 0:
            corners.append(np.stack((a, c, d), 1))
            normals.append(np.stack((na, nb, na), 1))
    moved = np.concatenate(corners) + np.asarray(base, np.float64)
    return Part(moved.astype(np.float32), np.concatenate(normals).astype(np.float32), material)


def cylinder(radius: float, height: float, base: Vec, material: Material, top: float = 1.0, sides: int = 20) -> Part:
    """Upright and closed; the top radius is scaled by `top`."""
    return lathe(((0, 0), (radius, 0), (radius * top, height), (0, height)), base, material, sides)


def blob(size: Vec, centre: Vec, material: Material, square: float = 1.0, rings: int = 9, sides: int = 18) -> Part:
    """A superellipsoid filling `size`: `square` 1 is an ellipsoid, towards 0 a box with rounded edges (Barr 1981)."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    longitude = np.arange(sides + 1) * (2 * np.pi / sides)
    longitude[-1] = 0.0

    def power(x: npt.NDArray[np.float64], e: float) -> npt.NDArray[np.float64]:
        return np.sign(x) * np.abs(x) ** e

    cl, sl = np.cos(latitude), np.sin(latitude)
    cl[[0, -1]] = 0.0
    half = np.asarray(size, np.float64) / 2

    def surface(e: float, scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x = power(cl, e)[:, None] * power(np.cos(longitude), e)
        y = power(cl, e)[:, None] * power(np.sin(longitude), e)
        z = np.broadcast_to(power(sl, e)[:, None], x.shape)
        return np.stack((x, y, z), -1) * scale

    p, n = surface(square, half), surface(2 - square, 1 / half)
    n /= np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-12)

    def triangles(g: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        a, b, c, d = g[:-1, :-1], g[:-1, 1:], g[1:, 1:], g[1:, :-1]
        lower, upper = np.stack((a, b, c), 2)[1:], np.stack((a, c, d), 2)[:-1]
        return np.concatenate((lower.reshape(-1, 3, 3), upper.reshape(-1, 3, 3)))

    corners = triangles(p) + np.asarray(centre, np.float64)
    return Part(corners.astype(np.float32), triangles(n).astype(np.float32), material)
