"""Instances without enough behind them leave the map."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seg3r.scene import SceneMap


@dataclass(frozen=True)
class Prune:
    """Drop what was seen too rarely or is too small (docs/opentrack3d.md, 3.6)."""

    least_observations: int = 2
    least_points: int = 50

    def __call__(self, scene: SceneMap) -> SceneMap:
        few = (scene.observations < self.least_observations) | (scene.sizes < self.least_points)
        scene.drop(scene.ids[few].tolist())
        return scene


@dataclass(frozen=True)
class Strewn:
    """Forget points that few frames measured: depth that was inferred from images strews them around surfaces and
    along rays at edges, each frame elsewhere, while surfaces are measured again and again."""

    least: int = 5
    """Frames; but no more than measured what the median measurement fell on: a short recording has no more to give."""

    def __call__(self, scene: SceneMap) -> SceneMap:
        if scene.point_count:
            ordered = scene.seen.sort().values
            total = ordered.cumsum(0)
            usual = int(ordered[torch.searchsorted(total, int(total[-1]) / 2)])
            scene.keep_points(scene.seen >= min(self.least, usual))
        return scene


@dataclass(frozen=True)
class Unconfirmed:
    """Drop what was seen once and then, in plain view, not again: evidence, not age, so that things may re-enter.

    Online housekeeping: it keeps the number of instances in step with the space seen.
    """

    misses: int = 5
    """Views of most of it that matched nothing to it."""
    least_observations: int = 2

    def __call__(self, scene: SceneMap) -> SceneMap:
        gone = (scene.observations < self.least_observations) & (scene.missed >= self.misses)
        scene.drop(scene.ids[gone].tolist())
        return scene


@dataclass(frozen=True)
class Suppress:
    """Drop duplicates (IoU) and what lies inside another (docs/opentrack3d.md, 3.8)."""

    iou: float = 0.95
    contained: float = 0.95
    """More than 1 where parts of things are wanted beside the things (a knob on its drawer)."""

    def __call__(self, scene: SceneMap) -> SceneMap:
        sizes = dict(zip(scene.ids.tolist(), scene.sizes.tolist(), strict=True))
        for instance_id in sorted(sizes, key=lambda i: (sizes[i], -i)):
            others, shared = scene.shared_with(instance_id)
            for other, both in zip(others.tolist(), shared.tolist(), strict=True):
                size, other_size = sizes[instance_id], sizes[other]
                if other_size < size or (other_size == size and other > instance_id):
                    continue
                if both / (size + other_size - both) >= self.iou or both >= self.contained * size:
                    scene.drop([instance_id])
                    break
        return scene
