"""Fragments that the views see as one thing become one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32

from seg3r.scene import SceneMap
from seg3r.types import Keyframe


@dataclass(frozen=True)
class Consensus:
    """Merge two instances if, of the keyframes that show both, enough cover both with one mask (the view consensus of
    MaskClustering, CVPR 2024).

    IoU cannot tell that two halves are one thing: they share no point. A mask that holds both halves can.
    """

    least: float = 0.5
    """Supporting share of the keyframes that observe both."""
    observers: int = 3
    """Fewer keyframes that observe both are no evidence."""
    contained: float = 0.7
    """A mask covers an instance if it holds so much of what is visible of it."""
    visible: float = 0.3
    """A keyframe shows an instance if it sees so much of its points."""
    passes: int = 3

    def __call__(self, scene: SceneMap) -> SceneMap:
        for _ in range(self.passes):
            pairs = self._agreed(scene)
            if not pairs:
                break
            gone: set[int] = set()
            for _, a, b in pairs:
                if a not in gone and b not in gone:
                    scene.merge(min(a, b), max(a, b))
                    gone.update((a, b))  # what has just changed is judged again in the next pass
        return scene

    def _agreed(self, scene: SceneMap) -> list[tuple[float, int, int]]:
        """(-share, id, id) of the pairs that qualify, best first."""
        ids = scene.ids.tolist()
        observed = np.zeros((len(ids), len(ids)), np.int64)
        supported = np.zeros((len(ids), len(ids)), np.int64)
        points = [scene.points_of(i)[0] for i in ids]
        for keyframe in scene.keyframes:
            covered: Bool[np.ndarray, "k m"] = np.zeros((len(ids), len(keyframe.instance_ids)), np.bool_)
            masks = keyframe.masks.flatten(1).numpy()
            for k, rows in enumerate(points):
                pixels = scene.project(rows, keyframe, scene.visible_m).numpy()
                covered[k] = self._covering(pixels, masks, keyframe)
            shown = covered.max(1, initial=False)
            observed += np.outer(shown, shown)
            supported += covered.astype(np.int64) @ covered.T.astype(np.int64) > 0
        share = supported / np.maximum(observed, 1)
        good = np.triu((observed >= self.observers) & (share >= self.least), 1)
        return sorted((-float(share[a, b]), ids[a], ids[b]) for a, b in np.argwhere(good).tolist())

    def _covering(
        self, pixels: Int32[np.ndarray, "p"], masks: Bool[np.ndarray, "m pixels"], keyframe: Keyframe
    ) -> Bool[np.ndarray, "m"]:
        """Which masks of the keyframe cover an instance whose points project to `pixels` (-1: not seen)."""
        seen = pixels[pixels >= 0]
        if len(seen) == 0 or len(seen) < self.visible * len(pixels):
            return np.zeros(len(keyframe.instance_ids), np.bool_)
        held: Bool[np.ndarray, "m"] = masks[:, seen].mean(1) >= self.contained
        return held
