"""Two instances that are one thing become one."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seg3r.scene import SceneMap


@dataclass(frozen=True)
class Merge:
    """Merge the pair with the highest IoU of points, while any pair qualifies (docs/opentrack3d.md, 3.8)."""

    iou: float = 0.3
    least_visual: float | None = 0.6
    """Least cosine of the mean descriptors, where both have one; None: any."""
    contained: float | None = 0.8
    """A smaller one also joins if so much of it lies in a larger that does not dwarf it; None: none does."""
    dwarf: float = 3.0
    """A larger instance of more than so many times the points keeps what it contains apart (a cup is no table)."""

    def __call__(self, scene: SceneMap) -> SceneMap:
        sizes = dict(zip(scene.ids.tolist(), scene.sizes.tolist(), strict=True))
        candidates: dict[tuple[int, int], float] = {}
        for instance_id in sizes:
            candidates.update(self._candidates(scene, instance_id, sizes))
        while candidates:
            (a, b), _ = max(candidates.items(), key=lambda item: (item[1], -item[0][0], -item[0][1]))
            into, other = (a, b) if scene_age(scene, a) <= scene_age(scene, b) else (b, a)
            scene.merge(into, other)
            sizes.pop(other)
            sizes[into] = len(scene.points_of(into)[0])
            candidates = {pair: iou for pair, iou in candidates.items() if into not in pair and other not in pair}
            candidates.update(self._candidates(scene, into, sizes))
        return scene

    def _candidates(self, scene: SceneMap, instance_id: int, sizes: dict[int, int]) -> dict[tuple[int, int], float]:
        """Pairs with this instance that qualify, by their IoU."""
        others, shared = scene.shared_with(instance_id)
        found = {}
        for other, both in zip(others.tolist(), shared.tolist(), strict=True):
            small, large = sorted((sizes[instance_id], sizes[other]))
            iou = both / (small + large - both)
            inside = (
                self.contained is not None and both >= self.contained * small and large <= self.dwarf * small
            )
            if (iou >= self.iou or inside) and self._alike(scene, instance_id, other):
                found[(min(instance_id, other), max(instance_id, other))] = iou
        return found

    def _alike(self, scene: SceneMap, a: int, b: int) -> bool:
        features = scene.pick("feature", torch.tensor([a, b]))
        if self.least_visual is None or not bool(features.any(1).all()):
            return True
        return float(features[0] @ features[1]) >= self.least_visual


def scene_age(scene: SceneMap, instance_id: int) -> tuple[int, int]:
    """Sorts instances by who was seen first: the older id survives a merge."""
    return int(scene.pick("first_frame", torch.tensor([instance_id]))[0]), instance_id
