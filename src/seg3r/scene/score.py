"""How far to trust an instance whose score nobody gave: by what the views said of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32, Int64

PATIENCE = 3.0
"""Observations after which an instance counts as confirmed to 63 % (docs/opentrack3d.md, 3.11)."""


def evidence_scores(
    owner: Int64[np.ndarray, "e"], hits: Int32[np.ndarray, "e"], views: Int32[np.ndarray, "e"],
    mean_scores: Float32[np.ndarray, "k"], observations: Int32[np.ndarray, "k"],
) -> Float32[np.ndarray, "k"]:
    """In 0..1: the geometric mean of three factors that must all be there.

    The mean score of the instance's segments; the mean over its points of hits among views; and how often it was
    observed, 1 - exp(-observations / 3). (docs/opentrack3d.md, 3.11; a label's certainty is the labeller's to add.)

    Args:
        owner: instance of each edge between an instance and a point.
        hits, views: of each edge.
    """
    share = hits / np.maximum(views, 1)
    points = np.bincount(owner, minlength=len(observations))
    consistency = np.bincount(owner, weights=share, minlength=len(observations)) / np.maximum(points, 1)
    seen = 1 - np.exp(-observations / PATIENCE)
    product = mean_scores.clip(0, 1) * consistency.clip(0, 1) * seen
    return np.asarray(np.cbrt(product), np.float32)
