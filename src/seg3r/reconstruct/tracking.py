"""Where a single camera was: features, a map of points, the pose that explains what is seen of it (frame by frame).

After PTAM and ORB-SLAM (Mur-Artal et al., T-RO 2015), small: PnP in a RANSAC, points found again by their looks, by
being followed and by projection, bundle adjustment of the last keyframes and now and then of many. Up to scale: the
first points have a median depth of `median_m`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from seg3r.reconstruct.bundle import bundle_adjust, refine_pose
from seg3r.reconstruct.features import ALIKE, Detector, Features, mutual_matches

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

LEAST_PARALLAX = 1.5
"""Degrees between the rays to a new point: with less a turn on the spot breaks the scale."""
START_POINTS = 80
LEAST_INLIERS = 14
"""A pose on fewer points is none."""
HEALTHY = 25
"""No keyframe is made, and no point added, by a frame that sees fewer known ones: the scale would hang on them."""
JUMP = 5.0
"""A step so many times the median of the last ones, and of a share of the scene's depth, is a break."""
WINDOW = 7
"""Keyframes whose poses a bundle adjustment moves ..."""
WIDE, WIDE_EVERY = 80, 10
"""... and how many every so often: a few blurred frames in a row let the scale slide, and only what was seen before
and after them says so."""
MOVED = 0.01
"""Of the focal length: how far known points move in the image between two keyframes."""
SCARCE = 120
"""A frame that sees fewer known points becomes a keyframe at once."""
FOCAL_KEYFRAMES, FOCAL_EVERY = (5, 40), 5
"""First and last keyframe with which an unknown focal length is found, by adjusting everything; and how often."""
PATIENCE = 15
"""Frames after a loss within which a pose must be near the last one; later any place in the map will do."""
START_EVIDENCE = 12.0
"""Times their distance from the epipolar lines that matches move beyond what a turn on the spot explains (medians),
before a map is started: with less, the essential matrix of a forward step is often that of a turn, tens of degrees
off."""


@dataclass(frozen=True)
class Event:
    """Something a user should know of."""

    frame_index: int
    kind: str
    """started, dropped, lost, found, refused, focal."""
    text: str


@dataclass(eq=False)
class _Keyframe:
    pose: F64
    features: Features
    point: I64
    """Of each feature, -1 = none."""


class _Last(NamedTuple):
    """Frame that had a pose."""

    features: Features
    point: I64
    """Of each feature, -1 = none."""
    gray: U8 | None
    """Its image, while it is the one before."""


@dataclass(eq=False)
class Tracker:
    """Frames in their order -> poses (world to camera), as far as they can be told."""

    focal: float
    """Pixels; a guess where `find_focal`."""
    find_focal: bool
    centre: tuple[float, float]
    """Principal point (column, row)."""
    median_m: float = 2.0
    seed: int = 0
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._keyframes: list[_Keyframe] = []
        self._points: F64 = np.zeros((0, 3))
        self._looks: F32 = np.zeros((0, 128), np.float32)
        self._waiting: list[tuple[int, Features]] = []
        self._pose: F64 = np.eye(4)
        self._step: F64 = np.eye(4)
        self._steps: list[float] = []
        self._last: _Last | None = None
        self._missed = 0
        self._detector = Detector(self.centre)

    @property
    def started(self) -> bool:
        """Whether there is a map."""
        return bool(self._keyframes)

    def __call__(self, frame_index: int, gray: U8) -> dict[int, tuple[F64, F64]]:
        """A grey image [H W] -> the frames whose poses became known: index -> pose, and depths of the points it sees.
        """
        seen = self._detector(gray)
        if not self.started:
            self._waiting.append((frame_index, seen))
            return self._start()
        if self._last is not None and self._last.gray is not None:
            (pixels, looks), known = self._last.features, self._last.point >= 0
            seen = self._detector.joined(seen, Features(pixels[known], looks[known]), self._last.gray, gray)
        tracked = self._track(frame_index, seen, gray)
        return {} if tracked is None else {frame_index: tracked}

    def forget(self, oldest: int) -> list[int]:
        """Give up waiting frames before `oldest`; which they were."""
        gone = [i for i, _ in self._waiting if i < oldest]
        self._waiting = [(i, f) for i, f in self._waiting if i >= oldest]
        return gone

    # ---- the start -----------------------------------------------------------------------------------------------

    def _start(self) -> dict[int, tuple[F64, F64]]:
        """Two views with parallax; the first of those that wait with the last."""
        (_, first), (_, last) = self._waiting[0], self._waiting[-1]
        for n, (_, first) in enumerate(self._waiting[:-1:3]):
            pairs = mutual_matches(first.descriptors, last.descriptors)
            if len(pairs) < START_POINTS:
                continue
            a, b = first.pixels[pairs[:, 0]], last.pixels[pairs[:, 1]]
            found = self._two_views(a, b)
            if found is None:
                continue
            pose, points, good = found
            self._waiting = self._waiting[3 * n :]
            scale = self.median_m / float(np.median(points[:, 2]))
            pose[:3, 3] *= scale
            ids = np.arange(len(points))
            for T, features, side in ((np.eye(4), first, 0), (pose, last, 1)):
                point = np.full(len(features.pixels), -1, np.int64)
                point[pairs[good, side]] = ids
                self._keyframes.append(_Keyframe(T, features, point))
            self._points, self._looks = points * scale, first.descriptors[pairs[good, 0]]
            self._adjust(both=True)
            self.events.append(Event(self._waiting[-1][0], "started", f"{len(points)} points from two views"))
            self._pose, poses = np.eye(4), {}
            for index, features in self._waiting:
                tracked = self._track(index, features, None, grow=False)
                if tracked is not None:
                    poses[index] = tracked
            self._waiting = []
            return poses
        return {}

    def _two_views(self, a: F64, b: F64) -> tuple[F64, F64, npt.NDArray[np.bool_]] | None:
        """Second pose, points, and which pairs they are; None without parallax."""
        K = np.diag((self.focal, self.focal, 1.0))
        how = self._consensus(1.0, 2000, cv2.SCORE_METHOD_MAGSAC, cv2.LOCAL_OPTIM_SIGMA)
        essential, inliers = cv2.findEssentialMat(a, b, K, K, None, None, how)
        if essential is None or essential.shape != (3, 3):
            return None
        count, R, t, mask = cv2.recoverPose(essential, a, b, K, mask=inliers.copy())
        if count < START_POINTS:
            return None
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = R, t.ravel()
        good = mask.ravel() > 0
        rays = a[good] / self.focal, b[good] / self.focal
        if np.median(beyond_turning(*rays)) < START_EVIDENCE * np.median(epipolar_errors(np.asarray(essential), *rays)):
            return None
        points, usable = triangulated(np.eye(4), pose, a[good], b[good], self.focal, 1.5)
        if usable.sum() < START_POINTS or usable.mean() < 0.5:
            return None
        good[good] = usable
        return pose, points[usable], good

    # ---- frame by frame ------------------------------------------------------------------------------------------

    def _track(
        self, index: int, seen: Features, gray: U8 | None, grow: bool = True
    ) -> tuple[F64, F64] | None:
        """Pose of a frame and the depths of the known points it sees; None, with an event, where it cannot be told."""
        found = self._found(index, seen)
        if found is None:
            self._missed += 1
            if self._last is not None:
                self._last = self._last._replace(gray=None)
            return None
        pose, feature, point = found
        if self._missed:
            self.events.append(Event(index, "found", "in the same map again"))
        else:
            self._steps.append(distance(pose, self._pose))
        self._step = np.eye(4) if self._missed else pose @ np.linalg.inv(self._pose)
        self._pose, self._missed = pose, 0
        own = np.full(len(seen.pixels), -1, np.int64)
        own[feature] = point
        self._last = _Last(seen, own, gray)
        depth = (self._points[point] @ pose[:3, :3].T + pose[:3, 3])[:, 2]
        if grow and len(point) >= HEALTHY and self._wanted(seen, own):
            self._grow(pose, seen, feature, point)
            pose = self._pose
        return pose.copy(), depth

    def _found(self, index: int, seen: Features) -> tuple[F64, I64, I64] | None:
        """Pose, features and points: of what follows the last frame, what goes on as before, and what merely looks
        alike, the one that agrees with most points and is no leap."""
        tried = [self._followed(seen)]
        if not self._missed and (tried[0] is None or len(tried[0][1]) < SCARCE):
            tried.append(self._located(self._step @ self._pose, seen, 24.0))
        found = self._likely(tried)
        if found is None:
            tried.append(self._relocated(seen))
            found = self._likely(tried[-1:])
        if found is None and not self._missed:
            leapt = any(each is not None for each in tried)
            self.events.append(
                Event(index, "refused", "a step far beyond the usual") if leapt
                else Event(index, "lost", "too little of the map is in view")
            )
        return found

    def _likely(self, tried: list[tuple[F64, I64, I64] | None]) -> tuple[F64, I64, I64] | None:
        """The one with most points of those that are no leap from the last known pose."""
        likely = [each for each in tried if each is not None and (self._missed > PATIENCE or not self._leap(each))]
        return max(likely, key=lambda each: len(each[1]), default=None)

    def _leap(self, found: tuple[F64, I64, I64]) -> bool:
        pose, _, point = found
        depth = (self._points[point] @ pose[:3, :3].T + pose[:3, 3])[:, 2]
        usual = max(float(np.median(self._steps[-30:])) if self._steps else 0.0, 0.02 * float(np.median(depth)))
        return bool(self._steps) and distance(pose, self._pose) > JUMP * usual * (1 + self._missed)

    def _followed(self, seen: Features) -> tuple[F64, I64, I64] | None:
        """By looks, from the last frame that had a pose and the last two keyframes."""
        pairs = []
        earlier = [(k.features, k.point) for k in self._keyframes[-2:]]
        for features, point in [*earlier, *([] if self._last is None else [self._last[:2]])]:
            rows = np.flatnonzero(point >= 0)
            own = mutual_matches(seen.descriptors, features.descriptors[rows])
            pairs.append(np.stack((own[:, 0], point[rows[own[:, 1]]]), 1))
        feature, point = np.unique(np.concatenate(pairs), axis=0).T
        pose = self._pnp(seen.pixels[feature], self._points[point])
        return None if pose is None else self._located(pose, seen, 12.0)

    def _located(self, guess: F64, seen: Features, radius: float) -> tuple[F64, I64, I64] | None:
        """Pose, features and points that agree; from points found near where the guess projects them."""
        feature, point = self._near(guess, seen, radius)
        if len(point) < LEAST_INLIERS:
            return None
        pose = self._pnp(seen.pixels[feature], self._points[point])
        if pose is None:
            return None
        feature, point = self._near(pose, seen, 5.0)
        if len(point) < LEAST_INLIERS:
            return None
        pose, error = refine_pose(pose, self._points[point], seen.pixels[feature], self.focal)
        good = error < 3.0
        if good.sum() < LEAST_INLIERS:
            return None
        return pose, feature[good], point[good]

    def _near(self, pose: F64, seen: Features, radius: float) -> tuple[I64, I64]:
        """Pairs (feature, point) that lie within `radius` pixels and look alike, one to one."""
        local = self._points @ pose[:3, :3].T + pose[:3, 3]
        at = self.focal * local[:, :2] / np.maximum(local[:, 2:], 1e-3)
        if not len(seen.pixels):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        limit = np.abs(seen.pixels).max(0) + radius
        visible = np.flatnonzero((local[:, 2] > 0.05) & (np.abs(at) <= limit).all(1))
        if not len(visible):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        pairs = cKDTree(at[visible]).sparse_distance_matrix(
            cKDTree(seen.pixels), radius, output_type="coo_matrix"
        )
        p, f = visible[pairs.row], pairs.col.astype(np.int64)
        alike = np.einsum("nd,nd->n", self._looks[p], seen.descriptors[f])
        kept = alike > ALIKE
        p, f, alike = p[kept], f[kept], alike[kept]
        order = np.lexsort((f, p, -alike))
        p, f = p[order], f[order]
        best = np.zeros(len(p), np.bool_)
        _, one = np.unique(p, return_index=True)
        best[one] = True
        p, f = p[best], f[best]
        _, one = np.unique(f, return_index=True)
        one.sort()
        return f[one], p[one]

    def _pnp(self, pixels: F64, points: F64) -> F64 | None:
        if len(pixels) < LEAST_INLIERS:
            return None
        K = np.diag((self.focal, self.focal, 1.0))
        how = self._consensus(4.0, 300, cv2.SCORE_METHOD_MSAC, cv2.LOCAL_OPTIM_INNER_LO)
        found, _, turned, moved, inliers = cv2.solvePnPRansac(points, pixels, K, None, params=how)
        if not found or inliers is None or len(inliers) < LEAST_INLIERS:
            return None
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turned)[0], moved.ravel()
        rows = inliers.ravel()
        pose, _ = refine_pose(pose, points[rows], pixels[rows], self.focal)
        return pose

    def _consensus(self, threshold_px: float, most: int, score: int, polish: int) -> Any:
        """How samples are drawn and judged (USAC: Raguram et al., PAMI 2013)."""
        how = cv2.UsacParams()
        how.randomGeneratorState, how.isParallel, how.sampler = self.seed, False, cv2.SAMPLING_UNIFORM
        how.threshold, how.maxIterations, how.confidence = threshold_px, most, 0.9999
        how.score, how.loMethod = score, polish
        return how

    def _relocated(self, seen: Features) -> tuple[F64, I64, I64] | None:
        """From looks alone, anywhere in the map."""
        if not len(seen.pixels) or not len(self._points):
            return None
        pairs = mutual_matches(seen.descriptors, self._looks)
        if len(pairs) < LEAST_INLIERS:
            return None
        pose = self._pnp(seen.pixels[pairs[:, 0]], self._points[pairs[:, 1]])
        return None if pose is None else self._located(pose, seen, 12.0)

    # ---- the map -------------------------------------------------------------------------------------------------

    def _wanted(self, seen: Features, own: I64) -> bool:
        """Whether a keyframe is due: the camera moved, or knows little of what it sees."""
        before = self._keyframes[-1]
        both, row, old_row = np.intersect1d(own[own >= 0], before.point[before.point >= 0], return_indices=True)
        if len(both) < SCARCE:
            return True
        moved = seen.pixels[own >= 0][row] - before.features.pixels[before.point >= 0][old_row]
        return float(np.median(np.linalg.norm(moved, axis=1))) > MOVED * self.focal

    def _grow(self, pose: F64, seen: Features, feature: I64, point: I64) -> None:
        """A keyframe, and the points it makes with those before it."""
        own = np.full(len(seen.pixels), -1, np.int64)
        own[feature] = point
        latest = _Keyframe(pose, seen, own)
        for other in self._keyframes[-4:][::-1]:
            self._triangulate(latest, other)
        self._keyframes.append(latest)
        self._adjust(both=False)
        self._pose = latest.pose

    def _triangulate(self, a: _Keyframe, b: _Keyframe) -> None:
        """New points from features that neither has a point for."""
        rows, columns = np.flatnonzero(a.point < 0), np.flatnonzero(b.point < 0)
        if len(rows) < 8 or len(columns) < 8:
            return
        pairs = mutual_matches(a.features.descriptors[rows], b.features.descriptors[columns])
        if not len(pairs):
            return
        f, g = rows[pairs[:, 0]], columns[pairs[:, 1]]
        points, usable = triangulated(
            a.pose, b.pose, a.features.pixels[f], b.features.pixels[g], self.focal, LEAST_PARALLAX
        )
        ids = len(self._points) + np.arange(int(usable.sum()))
        self._points = np.concatenate((self._points, points[usable]))
        self._looks = np.concatenate((self._looks, a.features.descriptors[f[usable]]))
        a.point[f[usable]], b.point[g[usable]] = ids, ids

    def _adjust(self, both: bool) -> None:
        """The last keyframes and what they see; older ones that see it too hold still."""
        count = len(self._keyframes)
        first, last = FOCAL_KEYFRAMES
        free_focal = self.find_focal and first <= count <= last and count % FOCAL_EVERY == 0
        every = both or free_focal
        window = WINDOW if count % WIDE_EVERY else WIDE
        recent = range(1, count) if every else range(max(2, count - window), count)
        wanted = np.unique(np.concatenate([self._keyframes[k].point for k in recent]))
        wanted = wanted[wanted >= 0]
        local = np.full(len(self._points), -1, np.int64)
        local[wanted] = np.arange(len(wanted))
        camera, point, seen = [], [], []
        for k, keyframe in enumerate(self._keyframes):
            rows = np.flatnonzero(keyframe.point >= 0)
            rows = rows[local[keyframe.point[rows]] >= 0]
            if k not in recent and len(rows) < 15:
                continue
            camera.append(np.full(len(rows), k))
            point.append(local[keyframe.point[rows]])
            seen.append(keyframe.features.pixels[rows])
        cameras, index = np.unique(np.concatenate(camera), return_inverse=True)
        free = np.isin(cameras, list(recent))
        if free.all():
            free[0] = False
        done = bundle_adjust(
            np.stack([self._keyframes[c].pose for c in cameras]), free, self._points[wanted], index,
            np.concatenate(point), np.concatenate(seen), self.focal, free_focal, 12 if free_focal or both else 8,
        )
        for c, pose in zip(cameras, done.poses, strict=True):
            self._keyframes[c].pose = pose
        self._points[wanted], self.focal = done.points, done.focal
        self._drop_wrong(cameras, index, np.concatenate(point), wanted, done.errors)

    def _drop_wrong(self, cameras: I64, camera: I64, point: I64, wanted: I64, errors: F64) -> None:
        """Observations that do not agree leave their keyframes."""
        for o in np.flatnonzero(errors > 4.0):
            keyframe = self._keyframes[cameras[camera[o]]]
            keyframe.point[keyframe.point == wanted[point[o]]] = -1


def triangulated(
    pose_a: F64, pose_b: F64, a: F64, b: F64, focal: float, least_parallax: float
) -> tuple[F64, npt.NDArray[np.bool_]]:
    """Points in world [n 3], and which are to be believed: in front of both, near both rays, seen from aside.

    Args:
        pose_a, pose_b: world to camera.
        a, b: pixels from the principal point.
        least_parallax: degrees.
    """
    P = np.diag((focal, focal, 1.0))
    with np.errstate(all="ignore"):
        h = cv2.triangulatePoints(P @ pose_a[:3], P @ pose_b[:3], a.T.copy(), b.T.copy())
        points = (h[:3] / h[3]).T
        usable = np.isfinite(points).all(1)
        points = np.where(usable[:, None], points, 0.0)
        for pose, pixels in ((pose_a, a), (pose_b, b)):
            local = points @ pose[:3, :3].T + pose[:3, 3]
            off = np.linalg.norm(focal * local[:, :2] / local[:, 2:] - pixels, axis=1)
            usable &= (local[:, 2] > 0.05) & (off < 2.0)
        one, two = points - centre(pose_a), points - centre(pose_b)
        cosine = (one * two).sum(1) / np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1), 1e-12)
    usable &= cosine < np.cos(np.radians(least_parallax))
    return points, usable


def beyond_turning(a: F64, b: F64, rounds: int = 10) -> F64:
    """Radians by which rays differ that no turn on the spot explains: the best rotation (Kabsch), robustly.

    Args:
        a, b: matches [n 2], pixels from the principal point over the focal length.
    """
    a, b = (np.concatenate((x, np.ones((len(x), 1))), axis=1) for x in (a, b))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    weight = np.ones(len(a))
    for _ in range(rounds):
        U, _, V = np.linalg.svd((a * weight[:, None]).T @ b)
        R = (U @ np.diag((1.0, 1.0, np.linalg.det(U @ V))) @ V).T
        apart: F64 = np.linalg.norm(a @ R.T - b, axis=1)
        weight = 1 / np.maximum(apart, 2e-3)
    return apart


def epipolar_errors(essential: F64, a: F64, b: F64) -> F64:
    """Sampson's distances of matches [n 2] from their essential matrix (Hartley & Zisserman, 11.4), in ray units."""
    a, b = (np.concatenate((x, np.ones((len(x), 1))), axis=1) for x in (a, b))
    left, right = a @ essential.T, b @ essential
    slope = (left[:, :2] ** 2).sum(1) + (right[:, :2] ** 2).sum(1)
    off: F64 = np.abs((b * left).sum(1)) / np.sqrt(np.maximum(slope, 1e-24))
    return off


def distance(a: F64, b: F64) -> float:
    """Between the places of two poses."""
    return float(np.linalg.norm(centre(a) - centre(b)))


def centre(pose: F64) -> F64:
    """Where a camera stands, from world to camera."""
    where: F64 = -pose[:3, :3].T @ pose[:3, 3]
    return where
