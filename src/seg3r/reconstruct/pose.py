"""Poses from matches: of two frames that know nothing yet, of one frame and known points; and points from two poses.

Pixels count from the principal point. Poses are world to camera.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float64

from seg3r.reconstruct.bundle import refine_pose

LEAST_INLIERS = 14
"""A pose on fewer points is none."""
START_POINTS = 80
"""A start on fewer points is none."""
START_EVIDENCE = 12.0
"""Times their distance from the epipolar lines that matches move beyond what a turn on the spot explains (medians),
before a map is started: with less, the essential matrix of a forward step is often that of a turn, tens of degrees
off."""


class TwoViews(NamedTuple):
    """Pose and points from two frames, up to scale; the first one's camera is the world."""

    T_cam_world: Float64[np.ndarray, "4 4"]
    """Of the second frame."""
    points: Float64[np.ndarray, "p 3"]
    good: Bool[np.ndarray, "n"]
    """Which matches they are."""


def two_views(
    a: Float64[np.ndarray, "n 2"], b: Float64[np.ndarray, "n 2"], focal: float, seed: int = 0
) -> TwoViews | None:
    """From matches; None without parallax."""
    K = np.diag((focal, focal, 1.0))
    how = _consensus(seed, 1.0, 2000, cv2.SCORE_METHOD_MAGSAC, cv2.LOCAL_OPTIM_SIGMA)
    essential, inliers = cv2.findEssentialMat(a, b, K, K, None, None, how)
    if essential is None or essential.shape != (3, 3):
        return None
    count, R, t, mask = cv2.recoverPose(essential, a, b, K, mask=inliers.copy())
    if count < START_POINTS:
        return None
    T_cam_world = np.eye(4)
    T_cam_world[:3, :3], T_cam_world[:3, 3] = R, t.ravel()
    good = mask.ravel() > 0
    rays = a[good] / focal, b[good] / focal
    if np.median(beyond_turning(*rays)) < START_EVIDENCE * np.median(epipolar_errors(np.asarray(essential), *rays)):
        return None
    points, usable = triangulated(np.eye(4), T_cam_world, a[good], b[good], focal=focal, least_parallax=1.5)
    if usable.sum() < START_POINTS or usable.mean() < 0.5:
        return None
    good[good] = usable
    return TwoViews(T_cam_world, points[usable], good)


def pnp(
    pixels: Float64[np.ndarray, "n 2"], points: Float64[np.ndarray, "n 3"], focal: float, seed: int = 0
) -> Float64[np.ndarray, "4 4"] | None:
    """A pose (world to camera) from where known points are seen, many of them wrong; None where too few agree."""
    if len(pixels) < LEAST_INLIERS:
        return None
    K = np.diag((focal, focal, 1.0))
    how = _consensus(seed, 4.0, 300, cv2.SCORE_METHOD_MSAC, cv2.LOCAL_OPTIM_INNER_LO)
    found, _, turned, moved, inliers = cv2.solvePnPRansac(points, pixels, K, None, params=how)
    if not found or inliers is None or len(inliers) < LEAST_INLIERS:
        return None
    T_cam_world = np.eye(4)
    T_cam_world[:3, :3], T_cam_world[:3, 3] = cv2.Rodrigues(turned)[0], moved.ravel()
    rows = inliers.ravel()
    T_cam_world, _ = refine_pose(T_cam_world, points[rows], pixels[rows], focal=focal)
    return T_cam_world


def _consensus(seed: int, threshold_px: float, most: int, score: int, polish: int) -> Any:
    """How samples are drawn and judged (USAC: Raguram et al., PAMI 2013)."""
    how = cv2.UsacParams()
    how.randomGeneratorState, how.isParallel, how.sampler = seed, False, cv2.SAMPLING_UNIFORM
    how.threshold, how.maxIterations, how.confidence = threshold_px, most, 0.9999
    how.score, how.loMethod = score, polish
    return how


def triangulated(
    T_a_world: Float64[np.ndarray, "4 4"], T_b_world: Float64[np.ndarray, "4 4"], a: Float64[np.ndarray, "n 2"],
    b: Float64[np.ndarray, "n 2"], *, focal: float, least_parallax: float,
) -> tuple[Float64[np.ndarray, "n 3"], Bool[np.ndarray, "n"]]:
    """Points in world, and which are to be believed: in front of both, near both rays, seen from aside.

    Args:
        T_a_world, T_b_world: world to camera.
        a, b: pixels from the principal point.
        least_parallax: degrees.
    """
    P = np.diag((focal, focal, 1.0))
    with np.errstate(all="ignore"):
        h = cv2.triangulatePoints(P @ T_a_world[:3], P @ T_b_world[:3], a.T.copy(), b.T.copy())
        points = (h[:3] / h[3]).T
        usable = np.isfinite(points).all(1)
        points = np.where(usable[:, None], points, 0.0)
        for T_cam_world, pixels in ((T_a_world, a), (T_b_world, b)):
            local = points @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
            off = np.linalg.norm(focal * local[:, :2] / local[:, 2:] - pixels, axis=1)
            usable &= (local[:, 2] > 0.05) & (off < 2.0)
        one, two = points - centre(T_a_world), points - centre(T_b_world)
        cosine = (one * two).sum(1) / np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1), 1e-12)
    usable &= cosine < np.cos(np.radians(least_parallax))
    return points, usable


def beyond_turning(
    a: Float64[np.ndarray, "n 2"], b: Float64[np.ndarray, "n 2"], rounds: int = 10
) -> Float64[np.ndarray, "n"]:
    """Radians by which rays differ that no turn on the spot explains: the best rotation (Kabsch), robustly.

    Args:
        a, b: matches, pixels from the principal point over the focal length.
    """
    a, b = (np.concatenate((x, np.ones((len(x), 1))), axis=1) for x in (a, b))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    weight = np.ones(len(a))
    for _ in range(rounds):
        U, _, V = np.linalg.svd((a * weight[:, None]).T @ b)
        R = (U @ np.diag((1.0, 1.0, np.linalg.det(U @ V))) @ V).T
        apart: Float64[np.ndarray, "n"] = np.linalg.norm(a @ R.T - b, axis=1)
        weight = 1 / np.maximum(apart, 2e-3)
    return apart


def epipolar_errors(
    essential: Float64[np.ndarray, "3 3"], a: Float64[np.ndarray, "n 2"], b: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "n"]:
    """Sampson's distances of matches from their essential matrix (Hartley & Zisserman, 11.4), in ray units."""
    a, b = (np.concatenate((x, np.ones((len(x), 1))), axis=1) for x in (a, b))
    left, right = a @ essential.T, b @ essential
    slope = (left[:, :2] ** 2).sum(1) + (right[:, :2] ** 2).sum(1)
    off: Float64[np.ndarray, "n"] = np.abs((b * left).sum(1)) / np.sqrt(np.maximum(slope, 1e-24))
    return off


def distance(a: Float64[np.ndarray, "4 4"], b: Float64[np.ndarray, "4 4"]) -> float:
    """Between the places of two poses (world to camera)."""
    return float(np.linalg.norm(centre(a) - centre(b)))


def centre(T_cam_world: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "3"]:
    """Where a camera stands, from world to camera."""
    where: Float64[np.ndarray, "3"] = -T_cam_world[:3, :3].T @ T_cam_world[:3, 3]
    return where
