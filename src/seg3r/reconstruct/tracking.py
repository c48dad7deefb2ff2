"""Where a single camera was: features, a map of points, the pose that explains what is seen of it (frame by frame).

After PTAM and ORB-SLAM (Mur-Artal et al., T-RO 2015), small: PnP in a RANSAC, points found again by descriptor, by
being followed and by projection, bundle adjustment of the last keyframes and now and then of many, loops closed. Up to
scale: the first points have a median depth of `median_m`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from seg3r.reconstruct.bundle import refine_pose
from seg3r.reconstruct.closing import carried_pose, close, find_loop
from seg3r.reconstruct.features import FeatureDetector, Features, mutual_matches
from seg3r.reconstruct.point_map import PointMap, PoseKeyframe
from seg3r.reconstruct.pose import LEAST_INLIERS, START_POINTS, distance, pnp, two_views
from seg3r.types import Event

HEALTHY = 25
"""No keyframe is made, and no point added, by a frame that sees fewer known ones: the scale would hang on them."""
JUMP = 5.0
"""A step so many times the median of the last ones, and of a share of the scene's depth, is a break."""
MOVED = 0.01
"""Of the focal length: how far known points move in the image between two keyframes."""
SCARCE = 120
"""A frame that sees fewer known points becomes a keyframe at once."""
PATIENCE = 15
"""Frames after a loss within which a pose must be near the last one; later any place in the map will do."""
LOOPS_EVERY = 4
"""Keyframes, after which a place seen long before is looked for."""


class Tracked(NamedTuple):
    """Where a frame was."""

    T_cam_world: Float64[np.ndarray, "4 4"]
    """World to camera."""
    depth: Float64[np.ndarray, "p"]
    """Of the known points it sees."""


class _Last(NamedTuple):
    """Frame that had a pose."""

    features: Features
    point: Int64[np.ndarray, "n"]
    """Of each feature, -1 = none."""
    gray: UInt8[np.ndarray, "H W"] | None
    """Its image, while it is the one before."""


class _Found(NamedTuple):
    """A pose, and the pairs that agree with it."""

    T_cam_world: Float64[np.ndarray, "4 4"]
    feature: Int64[np.ndarray, "n"]
    point: Int64[np.ndarray, "n"]


class _Recent(NamedTuple):
    """A frame whose pose may still change."""

    T_cam_world: Float64[np.ndarray, "4 4"]
    pixels: Float64[np.ndarray, "p 2"]
    """Of the known points it sees ..."""
    point: Int64[np.ndarray, "p"]
    """... and which they are."""


@dataclass(eq=False)
class Tracker:
    """Frames in their order -> poses (world to camera), as far as they can be found."""

    map: PointMap
    """Empty at first."""
    centre: tuple[float, float]
    """Principal point (column, row)."""
    median_m: float = 2.0
    seed: int = 0
    remembered: int = 64
    """Last frames whose poses are given anew after an adjustment."""
    events: list[Event] = field(default_factory=list)
    turns: int = field(default=0, init=False)
    """How often everything was adjusted or bent: lengths from before do not compare."""

    def __post_init__(self) -> None:
        self._waiting: list[tuple[int, Features]] = []
        self._pose: Float64[np.ndarray, "4 4"] = np.eye(4)
        self._step: Float64[np.ndarray, "4 4"] = np.eye(4)
        self._steps: list[float] = []
        self._last: _Last | None = None
        self._missed = 0
        self._recent: dict[int, _Recent] = {}
        self._detector = FeatureDetector(self.centre)

    @property
    def started(self) -> bool:
        """Whether there is a map."""
        return bool(self.map.keyframes)

    def __call__(self, frame_index: int, gray: UInt8[np.ndarray, "H W"]) -> dict[int, Tracked]:
        """A grey image -> the frames whose poses became known: this one; all that waited for a start; with a
        keyframe the last ones, adjusted."""
        seen = self._detector(gray)
        if not self.started:
            self._waiting.append((frame_index, seen))
            return self._start()
        if self._last is not None and self._last.gray is not None:
            (pixels, descriptors), known = self._last.features, self._last.point >= 0
            earlier = Features(pixels[known], descriptors[known])
            seen = self._detector.joined(seen, earlier, before=self._last.gray, gray=gray)
        return self._track(frame_index, seen, gray)

    def forget(self, oldest: int) -> list[int]:
        """Give up waiting frames before `oldest`; which they were."""
        gone = [i for i, _ in self._waiting if i < oldest]
        self._waiting = [(i, f) for i, f in self._waiting if i >= oldest]
        return gone

    def _start(self) -> dict[int, Tracked]:
        """Two views with parallax; the first of those that wait with the last."""
        last_index, last = self._waiting[-1]
        for n, (index, first) in enumerate(self._waiting[:-1:3]):
            pairs = mutual_matches(first.descriptors, last.descriptors)
            if len(pairs) < START_POINTS:
                continue
            found = two_views(first.pixels[pairs[:, 0]], last.pixels[pairs[:, 1]], self.map.focal, self.seed)
            if found is None:
                continue
            self._waiting = self._waiting[3 * n :]
            scale = self.median_m / float(np.median(found.points[:, 2]))
            found.T_cam_world[:3, 3] *= scale
            ids = np.arange(len(found.points))
            points = [np.full(len(features.pixels), -1, np.int64) for features in (first, last)]
            for side, point in enumerate(points):
                point[pairs[found.good, side]] = ids
            self.map.begin(
                PoseKeyframe(index, np.eye(4), first, points[0]),
                PoseKeyframe(last_index, found.T_cam_world, last, points[1]),
                points=found.points * scale, descriptors=first.descriptors[pairs[found.good, 0]],
            )
            self.events.append(Event(last_index, "started", f"{len(ids)} points from two views"))
            self._pose = np.eye(4)
            poses: dict[int, Tracked] = {}
            for waited, features in self._waiting:
                poses |= self._track(waited, features, None, grow=False)
            self._waiting = []
            return poses
        return {}

    def _track(
        self, index: int, seen: Features, gray: UInt8[np.ndarray, "H W"] | None, grow: bool = True
    ) -> dict[int, Tracked]:
        """Where a frame was; nothing, with an event, where it cannot be found."""
        found = self._found(index, seen)
        if found is None:
            self._missed += 1
            if self._last is not None:
                self._last = self._last._replace(gray=None)
            return {}
        T_cam_world, feature, point = found
        if self._missed:
            self.events.append(Event(index, "found", "in the same map again"))
        else:
            self._steps.append(distance(T_cam_world, self._pose))
        self._step = np.eye(4) if self._missed else T_cam_world @ np.linalg.inv(self._pose)
        self._pose, self._missed = T_cam_world, 0
        point_of = np.full(len(seen.pixels), -1, np.int64)
        point_of[feature] = point
        self._last = _Last(seen, point_of, gray)
        self._recent[index] = _Recent(T_cam_world, seen.pixels[feature], point)
        while len(self._recent) > self.remembered:
            del self._recent[next(iter(self._recent))]
        if not grow or len(point) < HEALTHY or not self._wanted(seen, point_of):
            return {index: self._tracked(self._recent[index])}
        everything = self.map.add(PoseKeyframe(index, T_cam_world, seen, point_of.copy()))
        bent = self._close(index)
        self._pose = self.map.keyframes[-1].T_cam_world
        self.turns += everything or bent
        self._pose_again()
        return {i: self._tracked(recent) for i, recent in self._recent.items()}

    def _close(self, index: int) -> bool:
        """Look for a loop; whether one bent the world."""
        keyframes = self.map.keyframes
        loop = None if len(keyframes) % LOOPS_EVERY else find_loop(self.map, self.seed)
        if loop is None:
            return False
        close(self.map, loop)
        if self._last is not None:
            self._last = self._last._replace(point=keyframes[-1].point)
        if not loop.slid:
            return False
        scale = float(np.cbrt(np.linalg.det(loop.S[:3, :3])))
        self._recent = {i: r._replace(T_cam_world=carried_pose(r.T_cam_world, loop.S)) for i, r in self._recent.items()}
        self._steps = [scale * step for step in self._steps]
        self._step[:3, 3] *= scale
        then = keyframes[loop.keyframe].index
        self.events.append(Event(
            index, "closed", f"sees what frame {then} saw; the scale was off by {100 * (1 / scale - 1):+.0f} %: views "
            "between them, given before, stand a little off",
        ))
        return True

    def _pose_again(self) -> None:
        """The last frames, after an adjustment: keyframes have moved, the rest follow the points they see."""
        adjusted = {k.index: k.T_cam_world for k in self.map.keyframes[-self.remembered:]}
        for i, (T_cam_world, pixels, point) in self._recent.items():
            moved = adjusted.get(i)
            if moved is None:
                moved, _ = refine_pose(T_cam_world, self.map.points[point], pixels, focal=self.map.focal)
            self._recent[i] = _Recent(moved, pixels, point)

    def _tracked(self, recent: _Recent) -> Tracked:
        T_cam_world, _, point = recent
        return Tracked(T_cam_world.copy(), (self.map.points[point] @ T_cam_world[:3, :3].T + T_cam_world[:3, 3])[:, 2])

    def _found(self, index: int, seen: Features) -> _Found | None:
        """Of what follows the last frame, what goes on as before, and what matches by descriptor alone, the pose that
        agrees with most points and is no leap."""
        tried = [self._followed(seen)]
        if not self._missed and (tried[0] is None or len(tried[0].point) < SCARCE):
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

    def _likely(self, tried: list[_Found | None]) -> _Found | None:
        """The one with most points of those that are no leap from the last known pose."""
        likely = [each for each in tried if each is not None and (self._missed > PATIENCE or not self._leap(each))]
        return max(likely, key=lambda each: len(each.point), default=None)

    def _leap(self, found: _Found) -> bool:
        depth = (self.map.points[found.point] @ found.T_cam_world[:3, :3].T + found.T_cam_world[:3, 3])[:, 2]
        usual = max(float(np.median(self._steps[-30:])) if self._steps else 0.0, 0.02 * float(np.median(depth)))
        return bool(self._steps) and distance(found.T_cam_world, self._pose) > JUMP * usual * (1 + self._missed)

    def _followed(self, seen: Features) -> _Found | None:
        """By descriptors, from the last frame that had a pose and the last two keyframes."""
        pairs = []
        earlier = [(k.features, k.point) for k in self.map.keyframes[-2:]]
        for features, point in [*earlier, *([] if self._last is None else [self._last[:2]])]:
            rows = np.flatnonzero(point >= 0)
            matches = mutual_matches(seen.descriptors, features.descriptors[rows])
            pairs.append(np.stack((matches[:, 0], point[rows[matches[:, 1]]]), 1))
        feature, point = np.unique(np.concatenate(pairs), axis=0).T
        return self._seen_from(seen, feature, point)

    def _relocated(self, seen: Features) -> _Found | None:
        """By descriptors alone, anywhere in the map."""
        pairs = mutual_matches(seen.descriptors, self.map.descriptors)
        return self._seen_from(seen, pairs[:, 0], pairs[:, 1])

    def _seen_from(
        self, seen: Features, feature: Int64[np.ndarray, "n"], point: Int64[np.ndarray, "n"]
    ) -> _Found | None:
        """From pairs (feature, point), many of them wrong."""
        T_cam_world = pnp(seen.pixels[feature], self.map.points[point], self.map.focal, self.seed)
        return None if T_cam_world is None else self._located(T_cam_world, seen, 12.0)

    def _located(self, guess: Float64[np.ndarray, "4 4"], seen: Features, radius: float) -> _Found | None:
        """From points found near where the guess projects them."""
        known = self.map
        feature, point = known.near(guess, seen, radius)
        T_cam_world = pnp(seen.pixels[feature], known.points[point], known.focal, self.seed)
        if T_cam_world is None:
            return None
        feature, point = known.near(T_cam_world, seen, 5.0)
        if len(point) < LEAST_INLIERS:
            return None
        T_cam_world, error = refine_pose(T_cam_world, known.points[point], seen.pixels[feature], focal=known.focal)
        good = error < 3.0
        return _Found(T_cam_world, feature[good], point[good]) if good.sum() >= LEAST_INLIERS else None

    def _wanted(self, seen: Features, point: Int64[np.ndarray, "n"]) -> bool:
        """Whether a keyframe is due: the camera moved, or knows little of what it sees."""
        before = self.map.keyframes[-1]
        both, row, old_row = np.intersect1d(point[point >= 0], before.point[before.point >= 0], return_indices=True)
        if len(both) < SCARCE:
            return True
        moved = seen.pixels[point >= 0][row] - before.features.pixels[before.point >= 0][old_row]
        return float(np.median(np.linalg.norm(moved, axis=1))) > MOVED * self.map.focal
