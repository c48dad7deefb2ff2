"""Points that the views of an instance do not confirm leave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int32, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from seg3r.geometry import voxel_from_keys, voxel_keys
from seg3r.scene import SceneMap
from seg3r.types import Keyframe

HALF_OF_26 = [
    (x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0)
]
"""One step of each opposite pair."""


@dataclass(frozen=True)
class Consistency:
    """c(x) = (keyframes of the instance whose mask covers x) / (keyframes of the instance that see x); x stays if
    c(x) >= `least`; of what stays, the clusters of some size (docs/opentrack3d.md, 3.6).

    Masks are widened by one reduced pixel: quantisation and erosion must not count against a point. Points that no kept
    keyframe sees are judged by the counts made online.
    """

    least: float = 0.4
    cell_voxels: int = 2
    """Clusters are of cells of so many voxels."""
    share: float = 0.2
    """Keep clusters of at least this share of the largest."""

    def __call__(self, scene: SceneMap) -> SceneMap:
        owned = {i: scene.points_of(i) for i in scene.ids.tolist()}
        hits, views = confirmations(scene, {i: points for i, (points, _, _) in owned.items()})
        for instance_id, (points, online_hits, online_views) in owned.items():
            unseen = views[instance_id] == 0
            h = np.where(unseen, online_hits.numpy(), hits[instance_id])
            n = np.where(unseen, online_views.numpy(), views[instance_id])
            keep = torch.from_numpy(h >= self.least * n)
            keep[keep.clone()] = self._largest(scene, points[keep])
            scene.set_points(instance_id, points[keep], torch.from_numpy(h)[keep], torch.from_numpy(n)[keep])
        return scene

    def _largest(self, scene: SceneMap, points: Int64[Tensor, "p"]) -> Bool[Tensor, "p"]:
        """Which points lie in clusters of at least `share` of the largest."""
        if len(points) == 0:
            return torch.zeros(0, dtype=torch.bool)
        labels = clusters(scene.voxels_of(points), self.cell_voxels)
        sizes = torch.bincount(labels)
        return sizes[labels] >= self.share * int(sizes.max())


def confirmations(
    scene: SceneMap, points: Mapping[int, Int64[Tensor, "_"]]
) -> tuple[dict[int, Int32[np.ndarray, "_"]], dict[int, Int32[np.ndarray, "_"]]]:
    """Per instance, of some points: how many of its keyframes show each under its mask, and how many see it at all."""
    hits = {i: np.zeros(len(own), np.int32) for i, own in points.items()}
    views = {i: np.zeros(len(own), np.int32) for i, own in points.items()}
    for keyframe in scene.keyframes:
        masks, ids = widened_masks(keyframe), keyframe.instance_ids.numpy()
        for instance_id in np.unique(ids[ids >= 0]).tolist():
            if instance_id in points and len(points[instance_id]):
                pixels = scene.project(points[instance_id], keyframe, scene.visible_m).numpy()
                seen = pixels >= 0
                views[instance_id] += seen
                hits[instance_id] += seen & masks[ids == instance_id].any(0)[pixels]
    return hits, views


def clusters(voxels: Int64[Tensor, "p 3"], cell: int) -> Int64[Tensor, "p"]:
    """Components of voxels, numbered from 0: cells of `cell` voxels a side are joined to their 26 neighbours.

    Voxels up to `cell` apart are always joined, those more than twice that (in an axis) never: a DBSCAN radius of 2.5
    voxels, without its distances.
    """
    keys, inverse = np.unique(voxel_keys(torch.div(voxels, cell, rounding_mode="floor")).numpy(), return_inverse=True)
    cells = voxel_from_keys(torch.from_numpy(keys))
    pairs = [np.empty((0, 2), np.int64)]
    for step in HALF_OF_26:
        wanted = voxel_keys(cells + torch.tensor(step)).numpy()
        at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        found = np.flatnonzero(keys[at] == wanted)
        pairs.append(np.stack((found, at[found]), 1))
    a, b = np.concatenate(pairs).T
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(len(keys), len(keys)))
    _, labels = connected_components(graph, directed=False)
    return torch.from_numpy(labels.astype(np.int64)[inverse])


def widened_masks(keyframe: Keyframe) -> Bool[np.ndarray, "m hw"]:
    """The masks of a keyframe, each grown by one pixel."""
    bits = keyframe.masks.numpy()
    tall = bits.copy()
    tall[:, 1:] |= bits[:, :-1]
    tall[:, :-1] |= bits[:, 1:]
    wide = tall.copy()
    wide[:, :, 1:] |= tall[:, :, :-1]
    wide[:, :, :-1] |= tall[:, :, 1:]
    return wide.reshape(len(bits), keyframe.camera.size[0] * keyframe.camera.size[1])
