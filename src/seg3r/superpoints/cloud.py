"""Superpoints of a cloud without faces: neighbours stand for edges, and normals are estimated where there are none."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64
from scipy.spatial import cKDTree

from seg3r.errors import InputError
from seg3r.superpoints.graph import graph_superpoints

NEIGHBOURS = 8
"""Edges of each point."""
NORMAL_NEIGHBOURS = 16
"""Points whose plane is a point's tangent plane."""
STEP = 0.4
"""Sine of the angle at which the next point rises out of both tangent planes: over a step (a rug on the floor) two
points are near and alike, but a mesh does not join them."""


def cloud_superpoints(
    points: Float32[np.ndarray, "n 3"], normals: Float32[np.ndarray, "n 3"] | None = None, k: float = 0.01,
    min_points: int = 20,
) -> Int64[np.ndarray, "n"]:
    """Segment of every point, 0.. by first appearance.

    Args:
        points: metres.
        normals: unit length, all facing out of the surface; None: estimated.
        k, min_points: as in `graph_superpoints`.

    Raises:
        InputError: a point that is not finite, or fewer points than have neighbours.
    """
    if len(points) <= NORMAL_NEIGHBOURS:
        raise InputError(f"{len(points)} points: a cloud needs more than {NORMAL_NEIGHBOURS}")
    if not np.isfinite(points).all():
        raise InputError(f"point {int((~np.isfinite(points).all(1)).argmax())} is not finite")
    known = estimated_normals(points) if normals is None else normals
    edges = neighbour_edges(points)
    return graph_superpoints(points, known, edges[is_joined(points, known, edges)], k, min_points)


def neighbour_edges(points: Float32[np.ndarray, "n 3"], count: int = NEIGHBOURS) -> Int64[np.ndarray, "e 2"]:
    """Each point and each of its nearest `count` others, point after point, near ones first."""
    near = np.asarray(cKDTree(points).query(points, k=count + 1)[1])[:, 1:]
    edges = np.stack((np.repeat(np.arange(len(points)), count), near.reshape(-1)), axis=1)
    return edges.astype(np.int64)


def is_joined(
    points: Float32[np.ndarray, "n 3"], normals: Float32[np.ndarray, "n 3"], edges: Int64[np.ndarray, "e 2"]
) -> np.ndarray:
    """Which edges stay in the surface, and do not step out of both tangent planes (`STEP`)."""
    along = points[edges[:, 1]] - points[edges[:, 0]]
    rise = [np.abs((along * normals[edges[:, end]]).sum(1)) for end in (0, 1)]
    joined: np.ndarray = np.minimum(*rise) <= STEP * np.linalg.norm(along, axis=1)
    return joined


def estimated_normals(
    points: Float32[np.ndarray, "n 3"], count: int = NORMAL_NEIGHBOURS
) -> Float32[np.ndarray, "n 3"]:
    """Of the plane through each point's nearest `count` ones (Hoppe et al., SIGGRAPH 1992). Which side is out is not
    known: neighbours agree, spread from the point where the cloud is flattest."""
    near = np.asarray(cKDTree(points).query(points, k=count)[1])
    local = points[near].astype(np.float64)
    local -= local.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", local, local))
    normals = vectors[:, :, 0]
    _orient(normals, near, values[:, 0] / np.maximum(values.sum(1), 1e-30))
    return normals.astype(np.float32)


def _orient(normals: np.ndarray, near: Int64[np.ndarray, "n k"], roughness: np.ndarray) -> None:
    """Turn normals so that neighbours agree: along a spanning forest of the neighbour graph whose edges join normals
    that are nearly parallel first."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

    count = len(normals)
    edges = np.stack((np.repeat(np.arange(count), near.shape[1] - 1), near[:, 1:].reshape(-1)), 1).astype(np.int32)
    unlike = 1 - np.abs((normals[edges[:, 0]] * normals[edges[:, 1]]).sum(1)) + 1e-6
    tree = minimum_spanning_tree(csr_array((unlike, (edges[:, 0], edges[:, 1])), shape=(count, count)))
    _, part = connected_components(tree, directed=False)
    order = np.lexsort((roughness, part))
    for root in order[np.append(True, part[order][1:] != part[order][:-1])]:
        visited, before = breadth_first_order(tree, root, directed=False)
        for point in visited[1:]:
            if normals[point] @ normals[before[point]] < 0:
                normals[point] *= -1
