"""Pair rows with columns."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def hungarian(
    scores: Float32[Tensor, "m c"], allowed: Bool[Tensor, "m c"], threshold: float
) -> Int64[Tensor, "m"]:
    """The one-to-one pairing of highest total surplus (score - `threshold`) among the allowed pairs of at least
    `threshold`; -1 = none.

    Pairs below the threshold are left out before, not after: they must not push a good pair away. Nor may two pairs
    that barely pass push away one that is sure: hence the surplus, not the score.
    """
    usable = allowed & (scores >= threshold)
    gain = torch.where(usable, scores.to(torch.float64) - threshold + 1e-6, torch.zeros((), dtype=torch.float64))
    rows, columns = linear_sum_assignment(gain.numpy(), maximize=True)
    pairs = torch.full((scores.shape[0],), -1, dtype=torch.int64)
    for r, c in zip(rows, columns, strict=True):
        if usable[r, c]:
            pairs[r] = int(c)
    return pairs


def greedy(
    scores: Float32[Tensor, "m c"], allowed: Bool[Tensor, "m c"], threshold: float
) -> Int64[Tensor, "m"]:
    """Best pair first, each row and column once; -1 = none. Ties go to the lower column, then the lower row."""
    pairs = torch.full((scores.shape[0],), -1, dtype=torch.int64)
    usable = (allowed & (scores >= threshold)).nonzero()
    ranked = sorted(usable.tolist(), key=lambda rc: (-float(scores[rc[0], rc[1]]), rc[1], rc[0]))
    taken: set[int] = set()
    for r, c in ranked:
        if pairs[r] < 0 and c not in taken:
            pairs[r] = c
            taken.add(c)
    return pairs
