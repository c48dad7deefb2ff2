"""Points that others own with more right leave an instance."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seg3r.scene import SceneMap


@dataclass(frozen=True)
class Outvote:
    """A point stays with the instance that most frames gave it to (on a tie with all of them), if these are at least
    `least` of the frames that measured it.

    The share of the instance's views is no evidence here: one that was matched twice is sure of all it ever touched,
    and over a long walk such scraps cover what was seen a hundred times.
    """

    least: float = 0.2

    def __call__(self, scene: SceneMap) -> SceneMap:
        _, points = scene.owners.T
        most = torch.zeros(scene.point_count, dtype=scene.hits.dtype).scatter_reduce(0, points, scene.hits, "amax")
        wanted = torch.maximum(most.to(torch.float32), self.least * scene.seen)
        for instance_id in scene.ids.tolist():
            rows, hits, views = scene.points_of(instance_id)
            keep = hits >= wanted[rows]
            scene.set_points(instance_id, rows[keep], hits[keep], views[keep])
        return scene
