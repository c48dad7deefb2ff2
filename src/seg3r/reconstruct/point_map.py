"""What a single camera knows of its world: keyframes, and points that they see."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.spatial import cKDTree

from seg3r.reconstruct.bundle import bundle_adjust
from seg3r.reconstruct.features import ALIKE, Features, mutual_matches
from seg3r.reconstruct.pose import triangulated

LEAST_PARALLAX = 1.5
"""Degrees between the rays to a new point: with less a turn on the spot breaks the scale."""
PARTNERS = 4
"""Keyframes back with which a new one makes points."""
WINDOW = 7
"""Keyframes whose poses a bundle adjustment moves ..."""
WIDE, WIDE_EVERY = 80, 10
"""... and how many every so often: a few blurred frames in a row let the scale slide, and only what was seen before
and after them shows it."""
HELD = 30
"""Older keyframes that hold still while others move: so many that share most with these, and as many of the rest,
evenly over time. A walk that comes back again and again would have hundreds."""
HOLDS = 15
"""Points shared with those that move by which one holds them."""
FOCAL_KEYFRAMES, FOCAL_EVERY = (5, 40), 5
"""First and last keyframe with which an unknown focal length is found, by adjusting everything; and how often."""
FOCAL_SETTLED = 20
"""Keyframes after which it changes by a per cent at most; before, a guess may be wrong by a fifth."""
WRONG_PX = 4.0
"""Observations further off after an adjustment are none."""


@dataclass(eq=False)
class PoseKeyframe:
    """A frame that stays."""

    index: int
    """Of the frame."""
    T_cam_world: Float64[np.ndarray, "4 4"]
    """World to camera."""
    features: Features
    point: Int64[np.ndarray, "n"]
    """Of each feature, -1 = none."""


@dataclass(eq=False)
class PointMap:
    """Grows by keyframes, each of which is adjusted with those before it."""

    focal: float
    """Pixels; a guess where `find_focal`."""
    find_focal: bool = False
    keyframes: list[PoseKeyframe] = field(default_factory=list)
    points: Float64[np.ndarray, "p 3"] = field(default_factory=lambda: np.zeros((0, 3)))
    descriptors: Float32[np.ndarray, "p 128"] = field(default_factory=lambda: np.zeros((0, 128), np.float32))
    """Of the points."""

    def begin(
        self, first: PoseKeyframe, last: PoseKeyframe, *, points: Float64[np.ndarray, "p 3"],
        descriptors: Float32[np.ndarray, "p 128"],
    ) -> None:
        """With two keyframes and the points that both see."""
        self.keyframes, self.points, self.descriptors = [first, last], points, descriptors
        self.adjust_since(1, rounds=12)

    @property
    def settled(self) -> bool:
        """Whether the focal length is known well."""
        return not self.find_focal or len(self.keyframes) >= FOCAL_SETTLED

    def near(
        self, T_cam_world: Float64[np.ndarray, "4 4"], seen: Features, radius: float
    ) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """Pairs (feature, point) that lie within `radius` pixels and have like descriptors, one to one."""
        local = self.points @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
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
        similarity = np.einsum("nd,nd->n", self.descriptors[p], seen.descriptors[f])
        alike = similarity > ALIKE
        p, f, similarity = p[alike], f[alike], similarity[alike]
        order = np.lexsort((f, p, -similarity))
        p, f = p[order], f[order]
        best = np.zeros(len(p), np.bool_)
        _, one = np.unique(p, return_index=True)
        best[one] = True
        p, f = p[best], f[best]
        _, one = np.unique(f, return_index=True)
        one.sort()
        return f[one], p[one]

    def add(self, latest: PoseKeyframe) -> bool:
        """A keyframe and the points it makes with those before it, adjusted together with the last ones. Whether
        everything was adjusted, the focal length with it."""
        for other in self.keyframes[-PARTNERS:][::-1]:
            self._triangulate(latest, other)
        self.keyframes.append(latest)
        count = len(self.keyframes)
        first, last = FOCAL_KEYFRAMES
        everything = self.find_focal and first <= count <= last and count % FOCAL_EVERY == 0
        if everything:
            self.adjust_since(1, rounds=12, free_focal=True)
        else:
            self.adjust_since(max(2, count - (WINDOW if count % WIDE_EVERY else WIDE)))
        return everything

    def _triangulate(self, a: PoseKeyframe, b: PoseKeyframe) -> None:
        """New points from features that neither has a point for."""
        rows, columns = np.flatnonzero(a.point < 0), np.flatnonzero(b.point < 0)
        if len(rows) < 8 or len(columns) < 8:
            return
        pairs = mutual_matches(a.features.descriptors[rows], b.features.descriptors[columns])
        if not len(pairs):
            return
        f, g = rows[pairs[:, 0]], columns[pairs[:, 1]]
        points, usable = triangulated(
            a.T_cam_world, b.T_cam_world, a.features.pixels[f], b.features.pixels[g],
            focal=self.focal, least_parallax=LEAST_PARALLAX,
        )
        ids = len(self.points) + np.arange(int(usable.sum()))
        self.points = np.concatenate((self.points, points[usable]))
        self.descriptors = np.concatenate((self.descriptors, a.features.descriptors[f[usable]]))
        a.point[f[usable]], b.point[g[usable]] = ids, ids

    def adjust_since(self, first: int, rounds: int = 8, free_focal: bool = False) -> None:
        """Keyframes from the `first`-th on and what they see; older ones that see it too hold still."""
        recent = range(first, len(self.keyframes))
        wanted = np.unique(np.concatenate([self.keyframes[k].point for k in recent]))
        wanted = wanted[wanted >= 0]
        local = np.full(len(self.points), -1, np.int64)
        local[wanted] = np.arange(len(wanted))
        shared = np.array([(local[_seen(keyframe)] >= 0).sum() for keyframe in self.keyframes[:first]], np.int64)
        by_shared = np.argsort(-shared, kind="stable")[: int((shared >= HOLDS).sum())]
        older, rest = by_shared[:HELD], np.sort(by_shared[HELD:])
        if len(rest) > HELD:
            rest = rest[np.linspace(0, len(rest) - 1, HELD).astype(np.int64)]
        camera, point, pixels = [], [], []
        for k in (*older.tolist(), *rest.tolist(), *recent):
            keyframe = self.keyframes[k]
            rows = np.flatnonzero(keyframe.point >= 0)
            rows = rows[local[keyframe.point[rows]] >= 0]
            camera.append(np.full(len(rows), k))
            point.append(local[keyframe.point[rows]])
            pixels.append(keyframe.features.pixels[rows])
        cameras, index = np.unique(np.concatenate(camera), return_inverse=True)
        free = np.isin(cameras, list(recent))
        if free.all():
            free[0] = False
        done = bundle_adjust(
            np.stack([self.keyframes[c].T_cam_world for c in cameras]), free, self.points[wanted],
            camera=index, point=np.concatenate(point), pixels=np.concatenate(pixels), focal=self.focal,
            free_focal=free_focal, rounds=rounds,
        )
        for c, T_cam_world in zip(cameras, done.poses, strict=True):
            self.keyframes[c].T_cam_world = T_cam_world
        self.points[wanted], self.focal = done.points, done.focal
        self._drop_wrong(cameras, index, wanted[np.concatenate(point)], done.errors)

    def _drop_wrong(
        self, cameras: Int64[np.ndarray, "c"], camera: Int64[np.ndarray, "o"], point: Int64[np.ndarray, "o"],
        errors: Float64[np.ndarray, "o"],
    ) -> None:
        """Observations that do not agree leave their keyframes."""
        for o in np.flatnonzero(errors > WRONG_PX):
            keyframe = self.keyframes[cameras[camera[o]]]
            keyframe.point[keyframe.point == point[o]] = -1


def _seen(keyframe: PoseKeyframe) -> Int64[np.ndarray, "n"]:
    return keyframe.point[keyframe.point >= 0]
