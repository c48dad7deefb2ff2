"""Questions and answers: did it point at the right things, at all of them, and at nothing where there is nothing?"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

NONE = "none"
"""The kind under which questions without an answer are counted, whatever they ask for."""


@dataclass(frozen=True)
class Verdict:
    """One question."""

    kind: str
    hit: bool
    """The first thing named is one of the right ones; where nothing is right, nothing was named."""
    exact: bool
    """Exactly the right things were named."""
    f1: float
    """Of the set of things named; 1 for rightful silence."""


def judge(kind: str, predicted: Sequence[int], right: Collection[int]) -> Verdict:
    """Compare things named, best first, with the right ones. 0 stands for something that is no thing at all.

    Args:
        predicted: things; several instances of one thing may name it twice.
    """
    named = list(dict.fromkeys(predicted))
    if not right:
        return Verdict(NONE, not named, not named, float(not named))
    found = len(set(named) & set(right))
    return Verdict(
        kind, bool(named) and named[0] in right, set(named) == set(right), 2 * found / (len(named) + len(right))
    )


def accuracies(verdicts: Iterable[Verdict], kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """Means by kind (`kinds`, `none`, `all`) of: accuracy (hits), exact, f1. A kind that was not asked is NaN."""
    every = list(verdicts)
    groups = {**{kind: [v for v in every if v.kind == kind] for kind in (*kinds, NONE)}, "all": every}
    return {
        "accuracy": {name: _mean([float(v.hit) for v in group]) for name, group in groups.items()},
        "exact": {name: _mean([float(v.exact) for v in group]) for name, group in groups.items()},
        "f1": {name: _mean([v.f1 for v in group]) for name, group in groups.items()},
        "count": {name: float(len(group)) for name, group in groups.items()},
    }


@dataclass(frozen=True)
class OneMask:
    """All that was named, as one mask against all that was meant."""

    iou: float
    precision: float
    """0 where nothing was named."""


def one_mask(named: Bool[np.ndarray, "n"], meant: Bool[np.ndarray, "n"]) -> OneMask:
    """Over the points that count."""
    both = int(np.count_nonzero(named & meant))
    return OneMask(both / max(int(np.count_nonzero(named | meant)), 1), both / max(int(np.count_nonzero(named)), 1))


def share_reaching(values: Sequence[float], least: float | None = None) -> float:
    """Share of the values that are at least so large; None: their mean."""
    return _mean(values if least is None else [float(value >= least) for value in values])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
