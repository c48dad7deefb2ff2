"""A map's instances -> the vertices of the ground truth.

A map without a mesh lives on its own points; the benchmark counts vertices of a scanned mesh. The mapping is part of a
method's score and is therefore stated: each vertex takes its owners from the nearest map point within a given distance.
A point without owners says that the vertex belongs to nobody, unless an owned one is hardly further: masks lose their
rims to depth edges, so that unowned points crowd there.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Int64
from scipy.spatial import cKDTree

from seg3r.errors import InputError


def transfer(
    points: Float[np.ndarray, "n 3"],
    owners: Int[np.ndarray, "e 2"],
    vertices: Float[np.ndarray, "v 3"],
    max_dist_m: float,
    instance_count: int,
    margin_m: float = 0.0,
) -> list[Int64[np.ndarray, "..."]]:
    """The vertices of each instance, ascending.

    Args:
        points: of the map, in the frame of the vertices, metres.
        owners: (instance row, point row), one line per ownership; a point may have several.
        vertices: of the ground truth.
        max_dist_m: a vertex further than this from every owned point belongs to nobody.
        margin_m: an owned point decides if it is at most so much further than the nearest one that nobody owns.
        instance_count: rows of the map's instances.
    """
    _check(points, owners, vertices, max_dist_m, instance_count)
    owners = owners[np.argsort(owners[:, 1], kind="stable")]
    owned, first, count = np.unique(owners[:, 1], return_index=True, return_counts=True)
    if not len(owned) or not len(vertices):
        return [np.empty(0, np.int64) for _ in range(instance_count)]

    distance, nearest = _nearest(points[owned], vertices, max_dist_m)
    unowned = np.ones(len(points), np.bool_)
    unowned[owned] = False
    rival, _ = _nearest(points[unowned], vertices, max_dist_m)
    found = np.flatnonzero(np.isfinite(distance) & (distance <= rival + margin_m))
    nearest = nearest[found]
    # One entry per vertex and owner: owners of one point stand next to each other.
    repeats = count[nearest]
    ends = np.cumsum(repeats)
    step = np.arange(len(found) and ends[-1]) - np.repeat(ends - repeats, repeats)
    rows = owners[np.repeat(first[nearest], repeats) + step, 0]
    entries = np.repeat(found, repeats)
    order = np.argsort(rows, kind="stable")
    ends = np.cumsum(np.bincount(rows, minlength=instance_count))
    return np.split(entries[order].astype(np.int64), ends[:-1]) if instance_count else []


def nearest_points(
    points: Float[np.ndarray, "n 3"], vertices: Float[np.ndarray, "v 3"], max_dist_m: float
) -> Int64[np.ndarray, "v"]:
    """Row of the nearest map point of each vertex, whoever owns it; -1 where none is within `max_dist_m`."""
    distance, row = _nearest(points, vertices, max_dist_m)
    return np.where(np.isfinite(distance), row, -1)


def _nearest(
    points: Float[np.ndarray, "n 3"], vertices: Float[np.ndarray, "v 3"], max_dist_m: float
) -> tuple[Float[np.ndarray, "v"], Int64[np.ndarray, "v"]]:
    """Distance to and row of the nearest point of each vertex; infinite where none is within `max_dist_m`."""
    if not len(points):
        return np.full(len(vertices), np.inf), np.zeros(len(vertices), np.int64)
    # The tree's bound is exclusive.
    bound = np.nextafter(max_dist_m, np.inf)
    distance, row = cKDTree(points, balanced_tree=False).query(vertices, distance_upper_bound=bound)
    return np.asarray(distance), np.asarray(row)


def _check(
    points: Float[np.ndarray, "n 3"],
    owners: Int[np.ndarray, "e 2"],
    vertices: Float[np.ndarray, "v 3"],
    max_dist_m: float,
    instance_count: int,
) -> None:
    if not max_dist_m > 0:
        raise InputError(f"max_dist_m must be positive, got {max_dist_m}")
    if not np.isfinite(points).all() or not np.isfinite(vertices).all():
        raise InputError("transfer: points and vertices must be finite")
    if len(owners) and (owners.min() < 0 or (owners.max(axis=0) >= (instance_count, len(points))).any()):
        raise InputError(f"owners must name instances 0..{instance_count - 1} and points 0..{len(points) - 1}")
