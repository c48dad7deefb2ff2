"""Whose a place is: of the points of a map, and of any others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64
from scipy.spatial import cKDTree

from seg3r.errors import InputError


def best_owner(
    owner: Int64[np.ndarray, "e"], point: Int64[np.ndarray, "e"], hits: Int32[np.ndarray, "e"],
    views: Int32[np.ndarray, "e"], given: Float32[np.ndarray, "k"], count: int,
) -> Int64[np.ndarray, "n"]:
    """Of each of `count` points the owner with the best hits / views, or -1.

    Between equals the one with the higher score from outside, then the older one.

    Args:
        owner, point, hits, views: of each edge.
        given: score from outside of each owner, NaN where it has none.
    """
    order = np.lexsort((-owner, np.nan_to_num(given)[owner], hits / np.maximum(views, 1)))
    # The best comes last, and the last assignment stays.
    best = np.full(count, -1, np.int64)
    best[point[order]] = owner[order]
    return best


def nearest_labels(
    places: Float[np.ndarray, "q 3"], points: Float32[np.ndarray, "n 3"], labels: Int64[np.ndarray, "n"],
    reach_m: float, margin_m: float = 0.0,
) -> Int64[np.ndarray, "q"]:
    """The label of the nearest point, or -1 where that has none or is further than `reach_m`; a point with a label
    decides although one without is nearer by up to `margin_m`.

    Raises:
        InputError: `places` are not finite, or `reach_m` is not positive.
    """
    if not reach_m > 0:
        raise InputError(f"reach_m= must be positive, got {reach_m}")
    if not np.isfinite(places).all():
        raise InputError("points= must be finite")
    owned = np.flatnonzero(labels >= 0)
    found = np.full(len(places), -1, np.int64)
    if not len(owned) or not len(places):
        return found
    bound = np.nextafter(reach_m, np.inf)  # the tree's bound is exclusive
    distance, nearest = cKDTree(points[owned], balanced_tree=False).query(places, distance_upper_bound=bound)
    rest = points[labels < 0]
    rival = cKDTree(rest, balanced_tree=False).query(places, distance_upper_bound=bound)[0] if len(rest) else np.inf
    reached = np.isfinite(distance) & (distance <= rival + margin_m)
    found[reached] = labels[owned[np.asarray(nearest)[reached]]]
    return found
