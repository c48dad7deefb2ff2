"""Numbers -> triangles: the solids that furniture is made of.

A mesh carries, per vertex, its normal and its texture point: where it lies in the solid's space, so that grain
and weave follow the part however it is turned. Graphics (pictures, rugs, screens) have texture points in -1..1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from seg3r.rooms.texture import Material

Number = float | int
Vec = Sequence[Number] | Float64[np.ndarray, "3"]

_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)
_QUAD = np.array([[0, 1, 2], [0, 2, 3]])


@dataclass(frozen=True, eq=False)
class Mesh:
    """One part of one material. Faces turn counter-clockwise seen from outside."""

    vertices: Float64[np.ndarray, "n 3"]
    """Metres."""
    normals: Float64[np.ndarray, "n 3"]
    """Outward, unit length."""
    coords: Float64[np.ndarray, "n 3"]
    """The point its texture is a function of."""
    faces: Int64[np.ndarray, "f 3"]
    material: Material

    def turned(self, R: Float64[np.ndarray, "3 3"]) -> Mesh:
        """Rotated about the origin; the texture turns along."""
        return replace(self, vertices=self.vertices @ R.T, normals=self.normals @ R.T)

    def moved(self, by: Vec) -> Mesh:
        """Translated."""
        return replace(self, vertices=self.vertices + np.asarray(by, np.float64))


def about(axis: int, angle: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation by `angle` radians about axis 0, 1 or 2."""
    c, s = math.cos(angle), math.sin(angle)
    R = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R[i, i], R[i, j], R[j, i], R[j, j] = c, -s, s, c
    return R


def box(size: Vec, center: Vec, material: Material, bottom: float = 1.0) -> Mesh:
    """A box; `bottom` scales the lower face (tapered legs and bins). Grain runs along the longest side."""
    half = np.asarray(size, np.float64) / 2
    vertices: list[Float64[np.ndarray, "4 3"]] = []
    normals, faces = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            i, j = ((axis + 1) % 3, (axis + 2) % 3) if sign > 0 else ((axis + 2) % 3, (axis + 1) % 3)
            corner = np.empty((4, 3))
            corner[:, axis], corner[:, i], corner[:, j] = sign, _CORNERS[:, 0], _CORNERS[:, 1]
            normal = np.zeros(3)
            normal[axis] = sign
            faces.append(_QUAD + 4 * len(vertices))
            vertices.append(corner * half)
            normals.append(np.tile(normal, (4, 1)))
    points = np.concatenate(vertices)
    lower = points[:, 2] < 0
    points[lower, :2] *= bottom
    return Mesh(points + np.asarray(center), np.concatenate(normals), _grain(points, half, center),
                np.concatenate(faces), material)


def slab(low: Vec, high: Vec, material: Material) -> Mesh:
    """The box between two corners."""
    a, b = np.asarray(low, np.float64), np.asarray(high, np.float64)
    return box(b - a, (a + b) / 2, material)


def plate(size: tuple[float, float], material: Material, stretch: tuple[float, float] = (1.0, 1.0)) -> Mesh:
    """A rectangle in the x-z plane seen from -y, for graphics: texture points (x, z, 0) in +-`stretch`."""
    corner = _CORNERS
    vertices = np.stack((corner[:, 0] * size[0] / 2, np.zeros(4), corner[:, 1] * size[1] / 2), 1)
    coords = np.stack((corner[:, 0] * stretch[0], corner[:, 1] * stretch[1], np.zeros(4)), 1)
    return Mesh(vertices, np.tile([0.0, -1.0, 0.0], (4, 1)), coords, _QUAD.copy(), material)


def lathe(
    profile: Sequence[tuple[Number, Number]], material: Material, sides: int = 16, smooth: bool = False
) -> Mesh:
    """(radius, z) turned about z, drawn so that the outside lies to the right of the way (upwards on the outside).

    `smooth` rounds the profile's corners in shading.
    """
    line = np.asarray(profile, np.float64)
    step = np.diff(line, axis=0)
    across = np.stack((step[:, 1], -step[:, 0]), 1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    first, last = across.copy(), across.copy()
    if smooth:
        mean = across[:-1] + across[1:]
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
        first[1:], last[:-1] = mean, mean
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack((np.cos(angle), np.sin(angle)), 1)
    vertices, normals, faces = [], [], []
    for k in range(len(step)):
        for point, normal in ((line[k], first[k]), (line[k + 1], last[k])):
            vertices.append(np.concatenate((ring * point[0], np.full((sides + 1, 1), point[1])), 1))
            normals.append(np.concatenate((ring * normal[0], np.full((sides + 1, 1), normal[1])), 1))
        low = 2 * k * (sides + 1) + np.arange(sides)
        high = low + sides + 1
        if line[k, 0] > 1e-6:
            faces.append(np.stack((low, low + 1, high), 1))
        if line[k + 1, 0] > 1e-6:
            faces.append(np.stack((low + 1, high + 1, high), 1))
    points = np.concatenate(vertices)
    return Mesh(points, np.concatenate(normals), points[:, [2, 0, 1]].copy(), np.concatenate(faces), material)


def tube(base: Vec, top: Vec, radius: float, material: Material, end: float | None = None, sides: int = 10) -> Mesh:
    """A closed (tapered) cylinder from `base` to `top`."""
    a, b = np.asarray(base, np.float64), np.asarray(top, np.float64)
    length = float(np.linalg.norm(b - a))
    end = radius if end is None else end
    upright = lathe(((0, 0), (radius, 0), (end, length), (0, length)), material, sides)
    return upright.turned(_from_z((b - a) / length)).moved(a)


def pillow(size: Vec, center: Vec, material: Material, square: float = 0.35, steps: tuple[int, int] = (20, 12)) -> Mesh:
    """A superellipsoid (A. Barr 1981): an ellipsoid at `square` = 1, a box as it goes to 0."""
    half = np.asarray(size, np.float64) / 2
    theta = np.linspace(-np.pi, np.pi, steps[0] + 1)
    phi = np.linspace(-np.pi / 2, np.pi / 2, steps[1] + 1)
    # Even steps of the angle crowd a boxy shape's vertices at its edges; that is where it bends.
    t, p = (g.ravel() for g in np.meshgrid(theta, phi))
    ct, st, cp, sp = np.cos(t), np.sin(t), np.cos(p), np.sin(p)
    power = _signed_power
    unit = np.stack((power(cp, square) * power(ct, square), power(cp, square) * power(st, square),
                     power(sp, square)), 1)
    q = 2.0 - square
    normals = np.stack((power(cp, q) * power(ct, q), power(cp, q) * power(st, q), power(sp, q)), 1) / half
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    points = unit * half
    columns = steps[0] + 1
    corner = (np.arange(steps[1])[:, None] * columns + np.arange(steps[0])).ravel()
    faces = np.concatenate((
        np.stack((corner, corner + 1, corner + columns), 1),
        np.stack((corner + 1, corner + columns + 1, corner + columns), 1),
    ))
    a, b, c = (points[faces[:, k]] for k in range(3))
    faces = faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-10]
    return Mesh(points + np.asarray(center), normals, _grain(points, half, center), faces, material)


def blade(
    base: Vec, heading: float, length: float, width: float, rise: float, droop: float, material: Material
) -> Mesh:
    """A bent leaf of four quads: starts at `base`, heads outwards, rises by `rise` * length and droops."""
    t = np.linspace(0, 1, 5)
    out = length * t * (1 - 0.25 * droop * t)
    up = length * (rise * t - droop * t * t)
    spread = width / 2 * np.array([0.35, 0.9, 1.0, 0.7, 0.05])
    c, s = math.cos(heading), math.sin(heading)
    middle = np.stack((out * c, out * s, up), 1)
    side = np.array([-s, c, 0.0])
    points = np.concatenate((middle - spread[:, None] * side, middle + spread[:, None] * side)) + np.asarray(base)
    tangent = np.gradient(middle, axis=0)
    normal = np.cross(tangent, side)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    coords = np.concatenate((np.stack((t, -np.ones(5), np.zeros(5)), 1), np.stack((t, np.ones(5), np.zeros(5)), 1)))
    k = np.arange(4)
    faces = np.concatenate((np.stack((k, k + 1, k + 5), 1), np.stack((k + 1, k + 6, k + 5), 1)))
    return Mesh(points, np.concatenate((normal, normal)), coords, faces, material)


def _grain(
    points: Float64[np.ndarray, "n 3"], half: Float64[np.ndarray, "3"], center: Vec
) -> Float64[np.ndarray, "n 3"]:
    """Texture points with the longest side first, shifted so that no two parts are cut from one block."""
    order = np.argsort(-half, kind="stable")
    shift = np.asarray(center, np.float64) * (3.1, 5.3, 7.7)
    return np.asarray(points[:, order] + shift)


def _signed_power(x: Float64[np.ndarray, "*n"], exponent: float) -> Float64[np.ndarray, "*n"]:
    """Keeps the sign. What should be 0 is made 0: a small power would make it large."""
    size = np.where(np.abs(x) < 1e-9, 0.0, np.abs(x))
    return np.asarray(np.sign(x) * size**exponent)


def _from_z(direction: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """A rotation that takes z to `direction`."""
    helper = np.array([1.0, 0.0, 0.0]) if abs(direction[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    x = np.cross(helper, direction)
    x /= np.linalg.norm(x)
    return np.stack((x, np.cross(direction, x), direction), 1)
