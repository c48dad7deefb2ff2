"""Instances follow the superpoints of a mesh, where there is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from seg3r.scene import SceneMap


@dataclass(frozen=True, eq=False)
class Snap:
    """rho(s) = |s and q| / |s|: a superpoint joins q wholly if rho >= `add`, leaves it if rho < `drop` (OpenTrack3D
    specification, 3.7). A map point belongs to the superpoint of its nearest vertex within `reach_m`."""

    vertices: Float32[Tensor, "v 3"]
    superpoints: Int64[Tensor, "v"]
    add: float = 0.5
    drop: float = 0.2
    reach_m: float = 0.05

    def __call__(self, scene: SceneMap) -> SceneMap:
        distance, nearest = cKDTree(self.vertices.numpy()).query(
            scene.points.numpy(), distance_upper_bound=self.reach_m
        )
        reached = np.isfinite(distance)
        count = int(self.superpoints.max()) + 1 if len(self.superpoints) else 0
        superpoint = np.full(scene.point_count, -1, np.int64)
        superpoint[reached] = self.superpoints.numpy()[np.asarray(nearest)[reached]]
        sizes = np.bincount(superpoint[reached], minlength=count)
        for instance_id in scene.ids.tolist():
            points, hits, views = scene.points_of(instance_id)
            own = np.zeros(scene.point_count, np.bool_)
            own[points.numpy()] = True
            share = np.bincount(superpoint[own & reached], minlength=count) / np.maximum(sizes, 1)
            keep = own.copy()
            keep[reached] &= share[superpoint[reached]] >= self.drop
            keep[reached] |= share[superpoint[reached]] >= self.add
            h, n = np.ones((2, scene.point_count), np.int32)
            h[points.numpy()], n[points.numpy()] = hits.numpy(), views.numpy()
            scene.set_points(
                instance_id, torch.from_numpy(keep.nonzero()[0]), torch.from_numpy(h[keep]), torch.from_numpy(n[keep])
            )
        return scene
