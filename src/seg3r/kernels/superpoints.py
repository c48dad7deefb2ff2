"""Normals, edge weights and the union-find of Felzenszwalb's segmentation, all in float32.

The order of operations is part of the result: ScanNet's segments are reproduced bit for bit up to ties in the sort.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

ONE = np.float32(1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def vertex_normals(vertices: Floats, faces: Ints) -> Floats:
    """Running mean of the unit normals of the faces at each vertex, never renormalised.

    A face without area has no normal and is left out; a vertex without faces keeps (0, 0, 0).
    """
    normals = np.zeros_like(vertices)
    seen = np.zeros(len(vertices), np.float32)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if not 0 < length < np.inf:
            continue
        nx, ny, nz = nx / length, ny / length, nz / length
        for i in range(3):
            vertex = faces[f, i]
            new = ONE / (seen[vertex] + ONE)
            old = ONE - new
            normals[vertex, 0] = new * nx + old * normals[vertex, 0]
            normals[vertex, 1] = new * ny + old * normals[vertex, 1]
            normals[vertex, 2] = new * nz + old * normals[vertex, 2]
            seen[vertex] += ONE
    return normals


@njit(cache=True, nogil=True, error_model="numpy")
def edge_weights(points: Floats, normals: Floats, edges: Ints) -> Floats:
    """1 - cosine of the normals; squared, hence smaller, where the second normal points away from the first point."""
    weights = np.empty(len(edges), np.float32)
    for e in range(len(edges)):
        a, b = edges[e, 0], edges[e, 1]
        dx, dy, dz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        length = np.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx / length, dy / length, dz / length
        weight = ONE - (
            normals[a, 0] * normals[b, 0] + normals[a, 1] * normals[b, 1] + normals[a, 2] * normals[b, 2]
        )
        if normals[b, 0] * dx + normals[b, 1] * dy + normals[b, 2] * dz > 0:
            weight = weight * weight
        weights[e] = weight
    return weights


@njit(cache=True, nogil=True)
def root(parents: npt.NDArray[np.int32], node: int) -> int:
    """The segment `node` belongs to; halves the path on the way."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@njit(cache=True, nogil=True, error_model="numpy")
def segment(order: Ints, weights: Floats, edges: Ints, count: int, k: np.float32, min_size: int) -> Ints:
    """Felzenszwalb's segments of a graph whose edges are visited in `order`; ids 0.. by first appearance."""
    parents = np.arange(count).astype(np.int32)
    ranks = np.zeros(count, np.int32)
    sizes = np.ones(count, np.int32)
    limits = np.full(count, k, np.float32)
    for i in range(2 * len(order)):
        e = order[i % len(order)]
        a, b = root(parents, edges[e, 0]), root(parents, edges[e, 1])
        if a == b:
            continue
        # First pass: edges light against both sides. Second pass: whatever is still too small.
        if i < len(order):
            if not (weights[e] <= limits[a] and weights[e] <= limits[b]):
                continue
        elif sizes[a] >= min_size and sizes[b] >= min_size:
            continue
        if ranks[a] > ranks[b]:
            a, b = b, a
        parents[a] = b
        sizes[b] += sizes[a]
        if ranks[a] == ranks[b]:
            ranks[b] += 1
        limits[b] = weights[e] + k / np.float32(sizes[b])

    labels = np.full(count, -1, np.int64)
    ids = np.empty(count, np.int64)
    found = 0
    for node in range(count):
        top = root(parents, node)
        if labels[top] < 0:
            labels[top] = found
            found += 1
        ids[node] = labels[top]
    return ids
