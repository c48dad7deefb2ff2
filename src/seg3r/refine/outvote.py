"""Points that others own with more right leave an instance."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seg3r.scene import SceneMap


@dataclass(frozen=True)
class Outvote:
    """A point stays with the instance that most frames gave it to (on a tie with all of them), if these are at least
    `least` of the frames that measured it.

    The share of an instance's own views says nothing here: one that was matched twice is sure of all it ever touched,
    and over a long walk such scraps cover what was seen a hundred times.
    """

    least: float = 0.2

    def __call__(self, scene: SceneMap) -> SceneMap:
        _, points = scene.owners.T
        hits = scene.hits
        most = torch.zeros(scene.point_count, dtype=hits.dtype).scatter_reduce(0, points, hits, "amax")
        wanted = torch.maximum(most.to(torch.float32), self.least * scene.seen)
        for instance_id in scene.ids.tolist():
            own, own_hits, own_views = scene.points_of(instance_id)
            keep = own_hits >= wanted[own]
            scene.set_points(instance_id, own[keep], own_hits[keep], own_views[keep])
        return scene
