"""The refiner with random weights: what holds for any."""

from __future__ import annotations

import torch

from seg3r.models.query_refiner import (
    QueryRefiner,
    QueryRefinerConfig,
    attended_cells,
    joined,
    pooled,
)

CONFIG = QueryRefinerConfig(tokens=5, features=7, width=16, heads=4, ffn=24, psi=20, layers=2)


def refiner(seed: int = 0) -> QueryRefiner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return QueryRefiner(CONFIG)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def given(m: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return random(4, 6, 5, seed=1), random(4, 6, 7, seed=2), random(m, 4, 6, seed=3)


def test_shapes() -> None:
    model = refiner()
    for m in (3, 1, 0):
        q, refined, projected = model(*given(m), context=random(5, 16))
        assert q.shape == refined.shape == (m, 16) and projected.shape == (4, 6, 16)
        assert model.logits(refined, projected).shape == (m, 4, 6)


def test_at_the_start_most_cells_are_in_no_mask() -> None:
    model = refiner()
    _, refined, projected = model(*given())
    assert model.logits(refined, projected).mean() < -1


def test_a_lone_query_does_not_see_what_lies_outside_its_mask() -> None:
    tokens, features, _ = given()
    mask = torch.zeros(1, 4, 6)
    mask[0, 1:3, 1:3] = 1
    elsewhere = features.clone()
    elsewhere[3], elsewhere[:, 4:] = 9 * random(6, 7, seed=8), 5 * random(4, 2, 7, seed=9)
    model = refiner()
    assert torch.equal(model(tokens, features, mask).queries, model(tokens, elsewhere, mask).queries)
    inside = features.clone()
    inside[1, 1] = inside[1, 1].flip(0)
    assert not torch.allclose(model(tokens, features, mask).queries, model(tokens, inside, mask).queries)


def test_a_mask_of_less_than_half_a_cell_looks_at_its_fullest() -> None:
    masks = torch.tensor([[[0.6, 0.2, 0.9]], [[0.1, 0.4, 0.0]]])
    assert attended_cells(masks, 0.5).tolist() == [[True, False, True], [False, True, False]]


def test_queries_follow_their_masks() -> None:
    tokens, features, masks = given(4)
    order = torch.tensor([2, 0, 3, 1])
    model, context = refiner(), random(3, 16)
    there = model(tokens, features, masks, context).queries
    assert torch.allclose(model(tokens, features, masks[order], context).queries, there[order], atol=1e-5)


def test_context_counts_and_an_empty_one_does_not() -> None:
    model = refiner()
    without = model(*given()).queries
    assert torch.equal(model(*given(), context=torch.zeros(0, 16)).queries, without)
    assert not torch.allclose(model(*given(), context=random(2, 16)).queries, without)
    # Memory has no order.
    context = random(4, 16)
    assert torch.allclose(model(*given(), context=context).queries, model(*given(), context=context.flip(0)).queries,
                          atol=1e-5)


def test_gradients_reach_every_weight() -> None:
    model = refiner()
    _, refined, projected = model(*given(), context=random(2, 16))
    (model.logits(refined, projected) * random(3, 4, 6, seed=9)).sum().backward()
    # What is added to all keys of a softmax cancels out.
    assert all(p.grad is not None and (p.grad.abs().sum() > 0 or name.endswith("k.bias"))
               for name, p in model.named_parameters())


def test_neither_kind_of_feature_outweighs_the_other_by_its_scale() -> None:
    tokens, features, _ = given()
    assert torch.allclose(joined(tokens * 100, features), joined(tokens, features * 3 + 1), atol=1e-2)
    assert torch.equal(joined(torch.zeros_like(tokens), features)[..., :5], torch.zeros(4, 6, 5))
    assert joined(torch.zeros(4, 6, 0), features).shape == (4, 6, 7)


def test_pooling_weighs_cells_by_how_much_is_covered() -> None:
    values = torch.tensor([[[1.0], [4.0]]])
    assert pooled(values, torch.tensor([[[0.5, 1.0]], [[0.0, 0.0]]])).tolist() == [[3.0], [0.0]]
