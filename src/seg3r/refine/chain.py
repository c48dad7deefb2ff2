"""Refiners made of refiners."""

from __future__ import annotations

from dataclasses import dataclass

from seg3r.protocols import Refiner
from seg3r.scene import SceneMap


@dataclass(frozen=True)
class Chain:
    """One after the other."""

    refiners: tuple[Refiner, ...]

    def __call__(self, scene: SceneMap) -> SceneMap:
        for refine in self.refiners:
            scene = refine(scene)
        return scene


@dataclass(frozen=True)
class Every:
    """After every n-th frame; between, nothing."""

    frames: int
    refiner: Refiner

    def __call__(self, scene: SceneMap) -> SceneMap:
        return self.refiner(scene) if scene.frames % self.frames == 0 else scene
