"""Points that the views of an instance do not confirm leave it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from seg3r.scene import SceneMap
from seg3r.types import Keyframe


@dataclass(frozen=True)
class Consistency:
    """c(x) = (keyframes of the instance whose mask covers x) / (keyframes of the instance that see x); x stays if
    c(x) >= `least`; of what stays, the clusters of some size (OpenTrack3D specification, 3.6).

    Masks are widened by one reduced pixel: quantisation and erosion must not count against a point. Points that no kept
    keyframe sees are judged by the counts made online.
    """

    least: float = 0.4
    eps_voxels: float = 2.5
    share: float = 0.2
    """Keep clusters of at least this share of the largest."""

    def __call__(self, scene: SceneMap) -> SceneMap:
        hits: dict[int, Int64[Tensor, "p"]] = {}
        views: dict[int, Int64[Tensor, "p"]] = {}
        owned = {i: scene.points_of(i) for i in scene.ids.tolist()}
        for instance_id, (points, _, _) in owned.items():
            hits[instance_id] = torch.zeros(len(points), dtype=torch.int64)
            views[instance_id] = torch.zeros(len(points), dtype=torch.int64)
        for keyframe in scene.keyframes:
            masks = widened_masks(keyframe)
            ids = keyframe.instance_ids
            for instance_id in torch.unique(ids[ids >= 0]).tolist():
                pixels = scene.project(owned[instance_id][0], keyframe, scene.visible_m).to(torch.int64)
                mask = masks[ids == instance_id].any(0)
                seen = pixels >= 0
                views[instance_id] += seen
                hits[instance_id] += seen & mask[pixels.clamp_min(0)]
        for instance_id, (points, online_hits, online_views) in owned.items():
            h = torch.where(views[instance_id] > 0, hits[instance_id], online_hits.to(torch.int64))
            n = torch.where(views[instance_id] > 0, views[instance_id], online_views.to(torch.int64)).clamp_min(1)
            keep = h >= self.least * n
            keep[keep.clone()] = self._largest(scene, points[keep])
            scene.set_points(instance_id, points[keep], h[keep].to(torch.int32), n[keep].to(torch.int32))
        return scene

    def _largest(self, scene: SceneMap, points: Int64[Tensor, "p"]) -> Bool[Tensor, "p"]:
        """Which points lie in clusters of at least `share` of the largest."""
        if len(points) == 0:
            return torch.zeros(0, dtype=torch.bool)
        labels = clusters(scene.voxels_of(points).to(torch.float64), self.eps_voxels)
        sizes = torch.bincount(labels)
        return sizes[labels] >= self.share * int(sizes.max())


def clusters(places: Float64[Tensor, "p 3"], eps: float) -> Int64[Tensor, "p"]:
    """Connected components of places at most `eps` apart, numbered from 0."""
    pairs = cKDTree(places.numpy()).sparse_distance_matrix(cKDTree(places.numpy()), eps, output_type="coo_matrix")
    _, labels = connected_components(pairs, directed=False)
    return torch.from_numpy(labels.astype(np.int64))


def widened_masks(keyframe: Keyframe) -> Bool[Tensor, "m hw"]:
    """The masks of a keyframe, each grown by one pixel."""
    h, w = keyframe.camera.size
    bits = np.unpackbits(keyframe.packed_masks.numpy(), axis=1, count=h * w).reshape(-1, h, w).astype(np.bool_)
    tall = bits.copy()
    tall[:, 1:] |= bits[:, :-1]
    tall[:, :-1] |= bits[:, 1:]
    wide = tall.copy()
    wide[:, :, 1:] |= tall[:, :, :-1]
    wide[:, :, :-1] |= tall[:, :, 1:]
    return torch.from_numpy(wide.reshape(len(bits), h * w))
