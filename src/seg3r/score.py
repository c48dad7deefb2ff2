"""How far to trust an instance: the number that ranks the predictions of a map."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from seg3r.scene import SceneMap

PATIENCE = 3.0
"""Observations after which an instance counts as confirmed to 63 % (docs/opentrack3d.md, 3.11)."""


def scores(scene: SceneMap) -> Float32[Tensor, "k"]:
    """In 0..1, in the order of `scene.ids`: the geometric mean of three factors that must all be there.

    The mean score of the instance's segments; the mean over its points of hits among views; and how often it was
    observed, 1 - exp(-observations / 3). (docs/opentrack3d.md, 3.11; a label's certainty is the labeller's to add.)
    """
    owner = scene.owners.numpy()[:, 0]
    share = scene.hits.numpy() / np.maximum(scene.views.numpy(), 1)
    points = np.bincount(owner, minlength=len(scene))
    consistency = np.bincount(owner, weights=share, minlength=len(scene)) / np.maximum(points, 1)
    seen = 1 - np.exp(-scene.observations.numpy() / PATIENCE)
    product = scene.mean_scores.numpy().clip(0, 1) * consistency.clip(0, 1) * seen
    return torch.from_numpy(np.cbrt(product).astype(np.float32))
