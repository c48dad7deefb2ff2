"""Predictions at random."""

from __future__ import annotations

import numpy as np

from seg3r.metrics.instance_ap import ScenePrediction


def random_prediction(seed: int, n: int = 400, count: int = 5) -> ScenePrediction:
    rng = np.random.default_rng(seed)
    return ScenePrediction.from_masks(rng.random((count, n)) < 0.5, rng.choice([5, 7], count), rng.random(count))
