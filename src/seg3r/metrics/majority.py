"""Which thing of the truth an instance is: the one rule."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int


def majority_labels(
    members: Iterable[Int[np.ndarray, "..."]], labels: Int[np.ndarray, "n"], least: float = 0.5
) -> list[int]:
    """The label that most members of each instance bear; 0 (none) where fewer than or just a share `least` do.

    Args:
        members: rows of `labels` that each instance consists of.
        labels: not negative, 0 = none.
    """
    found = []
    for rows in members:
        counts = np.bincount(labels[rows], minlength=1)
        best = int(counts.argmax())
        found.append(best if counts[best] > least * len(rows) else 0)
    return found
