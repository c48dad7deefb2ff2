"""How good is a reconstruction: trajectories and depth against the truth. Pure numpy.

Poses are camera-to-world [n 4 4], one row per frame that both have; an estimate of a single camera has a scale of its
own, so `scale` brings its lengths to metres: that of one similarity for the whole trajectory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64

from seg3r.errors import InputError

BREAK = 1.5
"""A scale that changes by more than this factor at one place is broken, not drifting."""
STRIDE_M = 0.1
"""Scales are compared over strides of so much true motion: standing still and jitter have none."""
STRIDES = 5
"""Strides on either side of a place that say what the scale is there."""


class Similarity(NamedTuple):
    """x -> scale R x + t."""

    scale: float
    R: Float64[np.ndarray, "3 3"]
    t: Float64[np.ndarray, "3"]


class Trajectory(NamedTuple):
    """Absolute trajectory error."""

    rmse_m: float
    similarity: Similarity
    """From the estimate's world to the true one."""


class RelativeErrors(NamedTuple):
    """Relative pose error of every step."""

    translation_m: Float64[np.ndarray, "n"]
    rotation_deg: Float64[np.ndarray, "n"]


def umeyama(
    source: Float64[np.ndarray, "n 3"], target: Float64[np.ndarray, "n 3"], with_scale: bool = True
) -> Similarity:
    """The similarity that brings `source` to `target` with the least squared error (Umeyama, PAMI 1991).

    Points that all lie in one place have scale 1; about a line that all lie on, the turn is arbitrary.
    """
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.diag((1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))))
    R = u @ sign @ vt
    spread = float((a**2).sum() / len(a))
    scale = float((d * np.diag(sign)).sum() / spread) if with_scale and spread > 0 else 1.0
    return Similarity(scale, R, target.mean(0) - scale * R @ source.mean(0))


def ate(
    estimated: Float64[np.ndarray, "n 4 4"], true: Float64[np.ndarray, "n 4 4"], with_scale: bool = True
) -> Trajectory:
    """Root mean square distance of camera centres after one similarity for all of them (Sturm et al., IROS 2012).

    Raises:
        InputError: fewer than three poses.
    """
    if len(estimated) < 3:
        raise InputError(f"{len(estimated)} poses: a trajectory is compared over three or more")
    centres, wanted = estimated[:, :3, 3], true[:, :3, 3]
    similarity = umeyama(centres, wanted, with_scale)
    off = similarity.scale * centres @ similarity.R.T + similarity.t - wanted
    return Trajectory(float(np.sqrt((off**2).sum(1).mean())), similarity)


def relative_errors(
    estimated: Float64[np.ndarray, "n 4 4"], true: Float64[np.ndarray, "n 4 4"], scale: float = 1.0, step: int = 1
) -> RelativeErrors:
    """Of the motion over `step` frames, from every frame that has one so far on (Sturm et al., IROS 2012)."""
    metric = estimated.copy()
    metric[:, :3, 3] *= scale
    moved, should = (np.linalg.inv(T[:-step]) @ T[step:] for T in (metric, true))
    off = np.linalg.inv(should) @ moved
    # Of a small turn the trace keeps half the digits: sine and cosine together keep all.
    twist = np.stack((off[:, 2, 1] - off[:, 1, 2], off[:, 0, 2] - off[:, 2, 0], off[:, 1, 0] - off[:, 0, 1]), 1)
    angle = np.arctan2(np.linalg.norm(twist, axis=1), np.trace(off[:, :3, :3], axis1=1, axis2=2) - 1)
    return RelativeErrors(np.linalg.norm(off[:, :3, 3], axis=1), np.degrees(angle))


def drift(
    estimated: Float64[np.ndarray, "n 4 4"], true: Float64[np.ndarray, "n 4 4"], frames: int, scale: float = 1.0
) -> Float64[np.ndarray, "m"]:
    """How far off the camera is `frames` frames after they stood together, as a share of the true path between; for
    every start whose path is longer than a stride."""
    off = relative_errors(estimated, true, scale, frames).translation_m
    along = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1))))
    path = along[frames:] - along[:-frames]
    moved = path > STRIDE_M
    return np.asarray(off[moved] / path[moved], np.float64)


def path_length(poses: Float64[np.ndarray, "n 4 4"]) -> float:
    """Of the camera centre."""
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())


def scale_breaks(
    estimated: Float64[np.ndarray, "n 3"],
    true: Float64[np.ndarray, "n 3"],
    factor: float = BREAK,
    stride_m: float = STRIDE_M,
    strides: int = STRIDES,
) -> list[int]:
    """Where the scale of a trajectory changes at once: rows that begin a stretch of another scale.

    The true path is cut into strides of at least `stride_m`; each has a scale, true over estimated length. A place
    between two strides is a break where the medians of the `strides` scales on either side differ by more than
    `factor`. So a scale that drifts is none, nor is one jump that leaves the scale as it was, nor standing still.

    Args:
        estimated, true: camera centres.
    """
    ends = [0]
    for row in range(1, len(true)):
        if np.linalg.norm(true[row] - true[ends[-1]]) >= stride_m:
            ends.append(row)
    length, true_length = (np.linalg.norm(np.diff(centres[ends], axis=0), axis=1) for centres in (estimated, true))
    scale = np.log(true_length) - np.log(np.maximum(length, 1e-9 * true_length))
    breaks: list[int] = []
    best, so_far = -1, 0.0  # of the run of places that are all broken: one change is felt at several
    for place in range(strides, len(scale) - strides + 1):
        before, after = scale[place - strides : place], scale[place : place + strides]
        if abs(np.median(after) - np.median(before)) > np.log(factor):
            change = abs(float(after.mean() - before.mean()))
            if change > so_far:
                best, so_far = place, change
        elif best >= 0:
            breaks.append(ends[best])
            best, so_far = -1, 0.0
    if best >= 0:
        breaks.append(ends[best])
    return breaks


def absrel(
    depth: Float32[np.ndarray, "H W"], truth: Float32[np.ndarray, "H W"], confident: Bool[np.ndarray, "H W"]
) -> float:
    """Mean of |depth - truth| / truth over confident pixels that have a truth (> 0); nan where there are none."""
    use = confident & (truth > 0)
    t = truth[use].astype(np.float64)
    return float((np.abs(depth[use] - t) / t).mean()) if use.any() else float("nan")


def within(
    depth: Float32[np.ndarray, "H W"],
    truth: Float32[np.ndarray, "H W"],
    confident: Bool[np.ndarray, "H W"],
    factor: float = 1.25,
) -> float:
    """Share of confident pixels that have a truth whose depth is off by less than `factor`, either way."""
    use = confident & (truth > 0)
    d, t = depth[use].astype(np.float64), truth[use].astype(np.float64)
    return float(((d < factor * t) & (t < factor * d)).mean()) if use.any() else float("nan")


def confident_share(confident: Bool[np.ndarray, "H W"]) -> float:
    """Share of all pixels that are confident."""
    return float(confident.mean())
