"""Instances follow the superpoints of a mesh, where there is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from seg3r.refine.consistency import confirmations
from seg3r.scene import SceneMap


@dataclass(frozen=True, eq=False)
class Snap:
    """rho(s) = |s and q| / |s|: a superpoint joins q if rho >= `add`, leaves it if rho < `drop` (docs/opentrack3d.md,
    3.7). A map point belongs to the superpoint of its nearest vertex within `reach_m`.

    Superpoints follow shape alone, and shape does not part a poster from its wall. The evidence of the views goes
    before: `least` and `remaining`. The paper has neither.
    """

    vertices: Float[Tensor, "v 3"]
    """In the world of the recording."""
    superpoints: Int64[Tensor, "v"]
    add: float = 0.5
    drop: float = 0.2
    reach_m: float = 0.05
    least: float = 0.4
    """A point joins only if at least this share of the instance's keyframes that see it show it under the mask, as for
    `Consistency`; one that none of them sees joins, as weak evidence."""
    remaining: float = 0.5
    """An instance of which less would remain loses nothing."""

    def __call__(self, scene: SceneMap) -> SceneMap:
        superpoint = self._superpoint_of(scene)
        reached = superpoint >= 0
        count = int(self.superpoints.max()) + 1 if len(self.superpoints) else 0
        sizes = np.bincount(superpoint[reached], minlength=count)
        staying: dict[int, Bool[np.ndarray, "n"]] = {}
        joining: dict[int, Int64[Tensor, "_"]] = {}
        for instance_id in scene.ids.tolist():
            owned = np.zeros(scene.point_count, np.bool_)
            owned[scene.points_of(instance_id)[0].numpy()] = True
            share = np.bincount(superpoint[owned & reached], minlength=count) / np.maximum(sizes, 1)
            keep, join = owned.copy(), np.zeros_like(owned)
            keep[reached] &= share[superpoint[reached]] >= self.drop
            join[reached] = share[superpoint[reached]] >= self.add
            staying[instance_id] = keep if keep.sum() >= self.remaining * owned.sum() else owned
            joining[instance_id] = torch.from_numpy((join & ~owned).nonzero()[0])
        self._apply(scene, staying, joining)
        return scene

    def _superpoint_of(self, scene: SceneMap) -> Int64[np.ndarray, "n"]:
        """Of every point of the map; -1 out of reach."""
        distance, nearest = cKDTree(scene.from_origin(self.vertices.numpy())).query(
            scene.points.numpy(), distance_upper_bound=self.reach_m
        )
        reached = np.isfinite(distance)
        superpoint = np.full(scene.point_count, -1, np.int64)
        superpoint[reached] = self.superpoints.numpy()[np.asarray(nearest)[reached]]
        return superpoint

    def _apply(
        self, scene: SceneMap, staying: dict[int, Bool[np.ndarray, "n"]], joining: dict[int, Int64[Tensor, "_"]]
    ) -> None:
        new_hits, new_views = confirmations(scene, joining)
        observed = dict(zip(scene.ids.tolist(), scene.observations.tolist(), strict=True))
        for instance_id, keep in staying.items():
            points, hits, views = scene.points_of(instance_id)
            h, n = np.ones((2, scene.point_count), np.int32)
            h[points.numpy()], n[points.numpy()] = hits.numpy(), views.numpy()
            new, unseen = joining[instance_id].numpy(), new_views[instance_id] == 0
            h[new] = np.maximum(new_hits[instance_id], 1)
            n[new] = np.where(unseen, max(observed[instance_id], 1), new_views[instance_id])
            keep[new] = unseen | (new_hits[instance_id] >= self.least * new_views[instance_id])
            scene.set_points(
                instance_id, torch.from_numpy(keep.nonzero()[0]), torch.from_numpy(h[keep]), torch.from_numpy(n[keep])
            )
