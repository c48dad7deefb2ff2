"""How clean and how whole predicted instances are, and whether a thing keeps its id: numbers beside AP.

They read like this: low purity = things were merged, low completeness = things were missed or split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class Quality:
    """Means in 0..1 (fragments: a count); NaN where there is nothing to average."""

    purity: float
    """Over predictions: the largest share of one that lies on a single ground-truth instance."""
    completeness: float
    """Over ground-truth instances: the largest share of one that a single prediction covers."""
    fragments: float
    """Over ground-truth instances some prediction lies on: how many predictions lie mostly on it (1 is best)."""


def quality(
    shared: Int[np.ndarray, "p g"], sizes: Int[np.ndarray, "p"], gt_sizes: Int[np.ndarray, "g"]
) -> Quality:
    """Purity, completeness and fragmentation of one scene.

    Args:
        shared: vertices each prediction has in common with each ground-truth instance.
        sizes: vertices of each prediction, those outside all ground truth included. Empty ones do not count.
        gt_sizes: vertices of each instance, at least 1.
    """
    shared, sizes = shared[sizes > 0], sizes[sizes > 0]
    if not len(gt_sizes) or not len(sizes):
        purity = 0.0 if len(sizes) else math.nan
        return Quality(purity, 0.0 if len(gt_sizes) else math.nan, math.nan)
    main, best = shared.argmax(axis=1), shared.max(axis=1)
    pieces = np.bincount(main[2 * best > sizes], minlength=len(gt_sizes))
    pieces = pieces[pieces > 0]
    return Quality(
        float((best / sizes).mean()),
        float((shared.max(axis=0) / gt_sizes).mean()),
        float(pieces.mean()) if len(pieces) else math.nan,
    )


@dataclass(frozen=True)
class IdStability:
    """Over things that were matched at least once; NaN without any."""

    ids_per_thing: float
    """Distinct ids a thing had (1 is best)."""
    switches_per_thing: float
    """Times the id differed from the one before (0 is best)."""
    consistency: float
    """Share of a thing's matches that bear its commonest id (1 is best)."""


def id_stability(things: Int[np.ndarray, "o"], ids: Int[np.ndarray, "o"]) -> IdStability:
    """Does one thing keep one id?

    Args:
        things: ground-truth instance of each match, in the order of the frames.
        ids: the map's id it was matched to in that frame; -1 = to none (left out).
    """
    things, ids = things[ids >= 0], ids[ids >= 0]
    if not len(things):
        return IdStability(math.nan, math.nan, math.nan)
    order = np.argsort(things, kind="stable")
    things, ids = things[order], ids[order]
    count = len(np.unique(things))
    switches = int(((things[1:] == things[:-1]) & (ids[1:] != ids[:-1])).sum())
    pairs, matches = np.unique(np.stack((things, ids)), axis=1, return_counts=True)
    first = np.unique(pairs[0], return_index=True)[1]
    shares = np.maximum.reduceat(matches, first) / np.add.reduceat(matches, first)
    return IdStability(pairs.shape[1] / count, switches / count, float(shares.mean()))
