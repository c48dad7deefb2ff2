"""Pairing against brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.associate.match import greedy, hungarian

SEEDS = st.integers(0, 2**31 - 1)


def random_case(seed: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    rng = torch.Generator().manual_seed(seed)
    m, c = (int(torch.randint(0, 5, (), generator=rng)) for _ in range(2))
    scores = torch.rand(m, c, generator=rng).mul(10).round() / 10 if seed % 2 else torch.rand(m, c, generator=rng)
    return scores, torch.rand(m, c, generator=rng) < 0.7, float(torch.rand((), generator=rng)) * 0.8


def check_is_pairing(pairs: torch.Tensor, scores: torch.Tensor, allowed: torch.Tensor, threshold: float) -> None:
    taken = [c for c in pairs.tolist() if c >= 0]
    assert len(taken) == len(set(taken))
    for r, c in enumerate(pairs.tolist()):
        assert c < 0 or (bool(allowed[r, c]) and float(scores[r, c]) >= threshold)


def surplus(columns: tuple[int, ...], scores: torch.Tensor, usable: torch.Tensor, threshold: float) -> float:
    pairs = [(r, c) for r, c in enumerate(columns) if c >= 0 and bool(usable[r, c])]
    return sum(float(scores[r, c]) - threshold for r, c in pairs)


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS)
def test_no_pairing_has_more_surplus(seed: int) -> None:
    scores, allowed, threshold = random_case(seed)
    m, c = scores.shape
    pairs = hungarian(scores, allowed, threshold)
    check_is_pairing(pairs, scores, allowed, threshold)
    usable = allowed & (scores >= threshold)
    slots = [*range(c), *[-1] * m]
    best = max(
        (surplus(p, scores, usable, threshold) for p in set(itertools.permutations(slots, m))), default=0.0
    )
    assert surplus(tuple(pairs.tolist()), scores, usable, threshold) >= best - 1e-5


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_greedy_takes_the_best_that_is_left(seed: int) -> None:
    scores, allowed, threshold = random_case(seed)
    pairs = greedy(scores, allowed, threshold)
    check_is_pairing(pairs, scores, allowed, threshold)
    usable = (allowed & (scores >= threshold)).tolist()
    left = {(r, c): float(scores[r, c]) for r, row in enumerate(usable) for c, ok in enumerate(row) if ok}
    expected = [-1] * scores.shape[0]
    while left:
        r, c = min(left, key=lambda rc: (-left[rc], rc[1], rc[0]))
        expected[r] = c
        left = {rc: s for rc, s in left.items() if rc[0] != r and rc[1] != c}
    assert pairs.tolist() == expected


@pytest.mark.parametrize("assign", [hungarian, greedy])
def test_what_is_not_usable_does_not_weigh(assign: object) -> None:
    scores = torch.tensor([[0.9, 0.5], [0.8, 0.1]])
    everything = torch.ones(2, 2, dtype=torch.bool)
    assert assign(scores, everything, 0.95).tolist() == [-1, -1]  # type: ignore[operator]
    assert assign(scores, ~everything, 0.1).tolist() == [-1, -1]  # type: ignore[operator]
    assert assign(scores, everything, 0.6).tolist() == [0, -1]  # type: ignore[operator]
    assert assign(scores.T.contiguous(), everything, 0.9).tolist() == [0, -1]  # type: ignore[operator]
    assert assign(torch.tensor([[0.35]]), everything[:1, :1], float(torch.tensor(0.35))).tolist() == [0]  # type: ignore[operator]


def test_the_two_differ_where_they_should() -> None:
    scores, allowed = torch.tensor([[0.9, 0.8], [0.85, 0.2]]), torch.ones(2, 2, dtype=torch.bool)
    assert hungarian(scores, allowed, 0.1).tolist() == [1, 0]
    assert greedy(scores, allowed, 0.1).tolist() == [0, 1]


def test_two_doubtful_pairs_do_not_push_a_sure_one_away() -> None:
    scores, allowed = torch.tensor([[0.9, 0.5], [0.5, 0.0]]), torch.ones(2, 2, dtype=torch.bool)
    assert hungarian(scores, allowed, 0.35).tolist() == [0, -1]
