"""Closing loops: a place seen again says how far poses and scale have slid since (after Strasdat et al., RSS 2010).

What was known first stays; what came since is bent to it. A similarity is a matrix [4 4] with s R in its corner.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.linalg import expm, logm
from scipy.spatial.transform import Rotation

from seg3r.reconstruct.features import mutual_matches
from seg3r.reconstruct.point_map import WRONG_PX, PointMap, PoseKeyframe
from seg3r.reconstruct.pose import distance, pnp

GAP = 30
"""Keyframes that must lie between two visits to a place."""
ANCHORS, EVERY, DESCRIPTORS = 100, 3, 400
"""Most earlier keyframes that are compared, how far apart they lie at least, and points of each."""
NEIGHBOURS = 3
"""Keyframes on either side of the best one whose points count as well."""
ALIKE, RATIO = 0.85, 0.8
"""Stricter than from frame to frame: most of what is alike across a room is another chair."""
ALIKE_POINTS = 24
"""Of the best keyframe, to look closer."""
LEAST = 40
"""Features that agree on a pose ..."""
SPREAD = 0.1
"""... and of the focal length: how far they scatter, both ways. Fewer, or all in one spot, are a thing of which there
are two (office: all of 40 such loops were right, half of those with less spread were wrong)."""
NAMED_TWICE = 15
"""Points known by two names; with fewer, there is nothing to join, or no scale to find."""
AT_ONCE = 240
"""Keyframes at most that are adjusted together when a loop was closed: time goes with the cube, memory with the square.
Of a longer loop the rest is only bent."""
SLID = (1.0, 0.02, 0.03)
"""Degrees, share of the depth and share of the scale up to which nothing is bent: two names become one, no more."""


class Loop(NamedTuple):
    """A place seen again."""

    keyframe: int
    """Which one saw it first."""
    S: Float64[np.ndarray, "4 4"]
    """From the world as the newest keyframe has it to that of the earlier one."""
    feature: Int64[np.ndarray, "n"]
    """Of the newest keyframe, what sees ..."""
    point: Int64[np.ndarray, "n"]
    """... this point, by its older name."""
    slid: bool
    """Whether the two differ by more than noise."""


def find_loop(known: PointMap, seed: int = 0) -> Loop | None:
    """What the newest keyframe sees of a place that another one saw long before, under other names."""
    latest, last = known.keyframes[-1], len(known.keyframes) - GAP
    if last <= NEIGHBOURS:
        return None
    anchors = np.unique(np.linspace(0, last - 1, min(ANCHORS, max(1, last // EVERY))).astype(np.int64))
    found = [len(_alike(latest, known.keyframes[k], DESCRIPTORS)) for k in anchors]
    if max(found) < ALIKE_POINTS:
        return None
    best = int(anchors[int(np.argmax(found))])
    around = known.keyframes[max(0, best - NEIGHBOURS) : min(last, best + NEIGHBOURS + 1)]
    feature, then = np.unique(np.concatenate([_alike(latest, keyframe) for keyframe in around]), axis=0).T
    pixels = latest.features.pixels[feature]
    T_cam_world = pnp(pixels, known.points[then], known.focal, seed)
    if T_cam_world is None:
        return None
    local = known.points[then] @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
    at = known.focal * local[:, :2] / np.maximum(local[:, 2:], 1e-3)
    good = (local[:, 2] > 0.05) & (np.linalg.norm(at - pixels, axis=1) < WRONG_PX)
    feature, then, depth = one_to_one(feature[good], then[good], local[good, 2])
    pixels, now = latest.features.pixels[feature], latest.point[feature]
    if len(pixels) < LEAST or pixels.std(0).min() < SPREAD * known.focal:
        return None
    twice = now > then
    if twice.sum() < NAMED_TWICE:
        return None
    depth_now = (known.points[now[twice]] @ latest.T_cam_world[:3, :3].T + latest.T_cam_world[:3, 3])[:, 2]
    depth_then = depth[twice]
    scale = float(np.exp(np.median(np.log(depth_then) - np.log(np.maximum(depth_now, 1e-3)))))
    S = np.linalg.inv(T_cam_world) @ np.diag((scale, scale, scale, 1.0)) @ latest.T_cam_world
    turned = np.degrees(Rotation.from_matrix((T_cam_world @ np.linalg.inv(latest.T_cam_world))[:3, :3]).magnitude())
    moved = distance(T_cam_world, latest.T_cam_world) / float(np.median(depth_then))
    slid = (float(turned), moved, abs(float(np.log(scale))))
    return Loop(best, S, feature, then, any(a > b for a, b in zip(slid, SLID, strict=True)))


def _alike(
    latest: PoseKeyframe, earlier: PoseKeyframe, most: int | None = None
) -> Int64[np.ndarray, "n 2"]:
    """Features of the one and points of the other that match; of `most` points, spread over all."""
    rows = np.flatnonzero(earlier.point >= 0)
    if most is not None and len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    pairs = mutual_matches(latest.features.descriptors, earlier.features.descriptors[rows], ALIKE, RATIO)
    return np.stack((pairs[:, 0], earlier.point[rows[pairs[:, 1]]]), 1)


def one_to_one(
    feature: Int64[np.ndarray, "n"], point: Int64[np.ndarray, "n"], depth: Float64[np.ndarray, "n"]
) -> tuple[Int64[np.ndarray, "m"], Int64[np.ndarray, "m"], Float64[np.ndarray, "m"]]:
    """Of pairs, those with which a feature comes first, and of these those with which a point does."""
    _, first = np.unique(feature, return_index=True)
    _, again = np.unique(point[first], return_index=True)
    rows = first[np.sort(again)]
    return feature[rows], point[rows], depth[rows]


def close(known: PointMap, loop: Loop) -> None:
    """Two names become one, and the newest keyframe hangs on the older points; where the world slid, it is bent, and
    what lies between is adjusted with both ends, as far as that can be done at once."""
    if loop.slid:
        bend(known, loop.keyframe, loop.S)
    latest = known.keyframes[-1]
    now = latest.point[loop.feature]
    twice = now > loop.point
    rename(known, np.stack((now[twice], loop.point[twice]), 1))
    latest.point[np.isin(latest.point, loop.point)] = -1
    latest.point[loop.feature] = loop.point
    if loop.slid:
        known.adjust_since(max(1, loop.keyframe, len(known.keyframes) - AT_ONCE))


def bend(known: PointMap, first: int, S: Float64[np.ndarray, "4 4"]) -> None:
    """Carry the newest keyframe by a similarity, the `first` not at all, and those between by their share.

    A link between neighbours takes the more of it, the fewer points they share: a chain's error lies where it is weak.
    Points go with the mean of the keyframes that see them.
    """
    keyframes = known.keyframes[first:]
    seen = [keyframe.point[keyframe.point >= 0] for keyframe in keyframes]
    shared = np.array([len(np.intersect1d(a, b)) for a, b in pairwise(seen)])
    way = np.concatenate(((0.0,), np.cumsum(1 / np.maximum(shared, 1.0))))
    share = way / way[-1]
    log = np.real(logm(S))
    by = np.stack([expm(each * log) for each in share])
    total, count = np.zeros(len(known.points)), np.zeros(len(known.points))
    for keyframe in known.keyframes[:first]:
        count[keyframe.point[keyframe.point >= 0]] += 1
    for each, points in zip(share, seen, strict=True):
        count[points] += 1
        total[points] += each
    nearest = np.searchsorted(share, total / np.maximum(count, 1)).clip(0, len(share) - 1)
    for keyframe, moved in zip(keyframes, by, strict=True):
        keyframe.T_cam_world = carried_pose(keyframe.T_cam_world, moved)
    known.points = np.einsum("nij,nj->ni", by[nearest, :3, :3], known.points) + by[nearest, :3, 3]


def carried_pose(
    T_cam_world: Float64[np.ndarray, "4 4"], S: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "4 4"]:
    """World to camera of a camera whose world a similarity has moved."""
    scale = float(np.cbrt(np.linalg.det(S[:3, :3])))
    out = np.eye(4)
    out[:3, :3] = T_cam_world[:3, :3] @ S[:3, :3].T / scale
    out[:3, 3] = scale * T_cam_world[:3, 3] - out[:3, :3] @ S[:3, 3]
    return out


def rename(known: PointMap, pairs: Int64[np.ndarray, "n 2"]) -> None:
    """Points known by a newer name and an older one keep the older; a keyframe that had both keeps the one."""
    to = np.arange(len(known.points))
    to[pairs[:, 0]] = pairs[:, 1]
    to = to[to]
    for keyframe in known.keyframes:
        new = np.where(keyframe.point >= 0, to[keyframe.point], -1)
        order = np.argsort(new != keyframe.point, kind="stable")  # who had the name goes first
        _, first = np.unique(new[order], return_index=True)
        keep = np.zeros(len(new), np.bool_)
        keep[order[first]] = True
        keyframe.point = np.where(keep, new, -1)
    known.descriptors[to != np.arange(len(to))] = 0  # nothing matches a point without a name
