"""Masks -> queries: features, identity, merging, memory. With random weights: what holds for any."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from seg3r.embed.memory import QueryIndexMemory
from seg3r.embed.patches import PatchGrid
from seg3r.embed.refined_queries import RefinedQueries, load_refiner, same_thing, touching
from seg3r.errors import InputError
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.protocols import Embedder, Remembers
from seg3r.reconstruct.sensor import Sensor
from seg3r.types import Masks, View
from tests.models.views import random_rgb, view_of
from tests.worlds import table_scene, walk

CONFIG = QueryRefinerConfig(tokens=6, features=81, width=16, heads=4, ffn=24, psi=20, layers=2)


def refiner(config: QueryRefinerConfig = CONFIG) -> QueryRefiner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return QueryRefiner(config)


def view_with_tokens(size: tuple[int, int] = (72, 96)) -> View:
    draw = torch.Generator().manual_seed(1)
    return replace(view_of(random_rgb(*size)), tokens=torch.rand((9, 12, 6), generator=draw),
                   state_attention=torch.rand((5, 9, 12), generator=draw))


def boxes(size: tuple[int, int], *regions: tuple[int, int, int, int], names: tuple[str | None, ...] | None = None
          ) -> Masks:
    masks = torch.zeros(len(regions), *size, dtype=torch.bool)
    for mask, (top, left, bottom, right) in zip(masks, regions, strict=True):
        mask[top:bottom, left:right] = True
    return Masks(masks, 0.5 + torch.arange(len(regions)) / 10, names=names)


MASKS = boxes((72, 96), (0, 0, 32, 32), (40, 8, 64, 48), (8, 56, 40, 88))


def flat(value: float = 1.0) -> Callable[[torch.Tensor], torch.Tensor]:
    """Features that are alike wherever the image's red is."""
    def features(rgb: torch.Tensor) -> torch.Tensor:
        red = rgb[4::8, 4::8, 0].float() * value
        return torch.stack((red.cos(), red.sin(), -red.cos(), (2 * red).sin()), dim=-1)

    return features


def test_it_fits_its_sockets() -> None:
    embed = RefinedQueries(PatchGrid(), refiner(), QueryIndexMemory())
    assert isinstance(embed, Embedder) and isinstance(embed, Remembers)


@pytest.mark.parametrize("with_refiner", [False, True])
@pytest.mark.parametrize("tokens", [False, True])
def test_unit_vectors_with_and_without_weights_and_tokens(with_refiner: bool, tokens: bool) -> None:
    view = view_with_tokens() if tokens else view_of(random_rgb(72, 96))
    embed = RefinedQueries(PatchGrid(), refiner() if with_refiner else None, merge=None)
    seen = embed(view, MASKS)
    assert seen.features is not None
    width = 16 if with_refiner else 81 + 6 * tokens
    assert seen.features.shape == (3, width)
    assert torch.allclose(seen.features.norm(dim=1), torch.ones(3), atol=1e-5)
    assert (seen.identity is not None) == tokens
    assert torch.equal(seen.masks, MASKS.masks)


def test_a_kind_of_feature_not_used_counts_for_nothing() -> None:
    view = view_with_tokens()
    for off, changed in (("use_3d", replace(view, tokens=view.tokens.flip(0))),  # type: ignore[union-attr]
                         ("use_2d", replace(view, frame=replace(view.frame, rgb=random_rgb(72, 96, 5))))):
        for model in (None, refiner()):
            without = RefinedQueries(PatchGrid(), model, merge=None, **{off: False})  # type: ignore[arg-type]
            both = RefinedQueries(PatchGrid(), model, merge=None)
            assert torch.equal(without(view, MASKS).features, without(changed, MASKS).features)  # type: ignore[arg-type]
            assert not torch.equal(both(view, MASKS).features, both(changed, MASKS).features)  # type: ignore[arg-type]


def test_the_state_token_is_the_attention_that_a_mask_holds() -> None:
    view = view_with_tokens()
    view = replace(view, state_attention=torch.zeros(5, 9, 12))
    assert view.state_attention is not None
    view.state_attention[2, :4, :4] = 1  # rows and columns 0 to 32
    view.state_attention[4, 5:] = 2
    seen = RefinedQueries(PatchGrid(), merge=None)(view, MASKS)
    assert seen.identity is not None and seen.identity.shape == (3, 5)
    assert seen.identity[0].argmax() == 2 and seen.identity[1].argmax() == 4
    assert torch.equal(seen.identity[2], torch.tensor([0, 0, 0, 0, 1.0]))  # rows 36 to 40 take from the cells below
    pooled = RefinedQueries(PatchGrid(), merge=None, token="pooled")(view, MASKS).identity
    assert pooled is not None and pooled.shape == (3, 6)
    assert RefinedQueries(PatchGrid(), merge=None, token=None)(view, MASKS).identity is None


def test_what_lies_outside_the_window_is_not_remembered() -> None:
    view = replace(view_with_tokens(), window=(36, 0, 72, 96))
    seen = RefinedQueries(PatchGrid(), merge=None)(view, boxes((72, 96), (0, 0, 30, 30), (40, 40, 70, 70)))
    assert seen.identity is not None and seen.identity[0].norm() == 0 and seen.identity[1].norm() > 0.99


def test_masks_too_small_say_nothing_and_change_nothing() -> None:
    view = view_with_tokens((144, 192))
    tiny = boxes((144, 192), (0, 0, 64, 64), (9, 100, 10, 102), (0, 0, 0, 0))  # two pixels of a cell's 64; none
    memory = QueryIndexMemory()
    embed = RefinedQueries(PatchGrid(), refiner(), memory)
    seen = embed(view, tiny)
    assert seen.features is not None and seen.identity is not None and len(seen) == 3
    assert seen.features[1:].abs().sum() == 0 and seen.identity[1:].abs().sum() == 0
    assert memory.queries == 1
    alone = RefinedQueries(PatchGrid(), refiner(), QueryIndexMemory())(view, tiny[torch.tensor([0])])
    assert torch.allclose(alone.features[0], seen.features[0], atol=1e-6)  # type: ignore[index]


def test_no_masks() -> None:
    view = view_with_tokens()
    for model in (None, refiner()):
        seen = RefinedQueries(PatchGrid(), model, QueryIndexMemory() if model else None)(view, boxes((72, 96)))
        assert len(seen) == 0 and seen.features is not None and seen.identity is not None
        assert seen.features.shape[1] == (16 if model else 87) and seen.identity.shape == (0, 5)


def two_tone() -> View:
    rgb = torch.zeros(72, 96, 3, dtype=torch.uint8)
    rgb[:, 48:] = 2
    return view_of(rgb)


def test_alike_and_touching_masks_become_one() -> None:
    masks = boxes((72, 96), (0, 0, 24, 40), (24, 0, 48, 40), (0, 56, 24, 90), (48, 0, 72, 40),
                  names=("door", "door", "wall", None))
    seen = RefinedQueries(flat())(two_tone(), masks)
    assert len(seen) == 2 and seen.features is not None
    assert torch.equal(seen.masks[0], masks.masks[[0, 1, 3]].any(0)) and torch.equal(seen.masks[1], masks.masks[2])
    assert seen.scores.tolist() == pytest.approx([0.8, 0.7])
    assert seen.names == (None, "wall")
    named = RefinedQueries(flat())(two_tone(), masks[torch.tensor([0, 1, 2])])
    assert named.names == ("door", "wall")


def test_alike_masks_apart_stay_apart_unless_told() -> None:
    masks = boxes((72, 96), (0, 0, 24, 40), (48, 0, 72, 40))
    assert len(RefinedQueries(flat())(two_tone(), masks)) == 2
    assert len(RefinedQueries(flat(), merge_adjacent=False)(two_tone(), masks)) == 1
    assert len(RefinedQueries(flat(), merge_adjacent=False, merge=None)(two_tone(), masks)) == 2


def test_features_of_a_union_are_those_of_its_mask() -> None:
    masks = boxes((72, 96), (0, 0, 24, 40), (24, 0, 48, 40))
    once = RefinedQueries(flat())(two_tone(), masks)
    whole = RefinedQueries(flat())(two_tone(), boxes((72, 96), (0, 0, 48, 40)))
    assert torch.allclose(once.features, whole.features, atol=1e-5)  # type: ignore[arg-type]


def test_groups_are_chains_and_numbered_by_their_first() -> None:
    looks = torch.tensor([[1.0, 0], [0, 1], [0.9, 0.436], [0.62, 0.785]])
    shares = torch.zeros(4, 3, 9)
    for i, column in enumerate((0, 8, 2, 4)):
        shares[i, 1, column] = 1
    assert same_thing(looks, shares, 0.8, adjacent=False).tolist() == [0, 1, 0, 0]
    assert same_thing(looks, shares, 0.8, adjacent=True).tolist() == [0, 1, 2, 3]
    shares[0, 1, 1] = shares[2, 1, 3] = 1
    assert same_thing(looks, shares, 0.8, adjacent=True).tolist() == [0, 1, 0, 0]


def test_touching_reaches_the_next_cell_and_no_farther() -> None:
    cells = torch.zeros(4, 5, 5, dtype=torch.bool)
    for i, (r, c) in enumerate(((0, 0), (1, 1), (2, 2), (4, 4))):
        cells[i, r, c] = True
    expected = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]).bool()
    assert torch.equal(touching(cells), expected)


def seen_masks(ids: torch.Tensor) -> Masks:
    masks = torch.stack([ids == t for t in (2, 3, 4)])
    return Masks(masks, torch.ones(3))


def test_what_was_seen_before_counts_until_it_is_forgotten() -> None:
    config = replace(CONFIG, tokens=0)
    frames = [(Sensor().view(frame), seen_masks(ids)) for frame, ids in walk(table_scene(), 12)[:4]]

    def run(embed: RefinedQueries, which: range) -> list[torch.Tensor]:
        return [embed(*frames[i]).features for i in which]  # type: ignore[misc]

    with_memory = RefinedQueries(PatchGrid(), refiner(config), QueryIndexMemory(), merge=None)
    without = RefinedQueries(PatchGrid(), refiner(config), merge=None)
    remembered, alone = run(with_memory, range(4)), run(without, range(4))
    assert torch.equal(remembered[0], alone[0]) and not torch.allclose(remembered[1], alone[1])
    again = RefinedQueries(PatchGrid(), refiner(config), QueryIndexMemory(), merge=None)
    run(again, range(2))
    third = RefinedQueries(PatchGrid(), refiner(config), QueryIndexMemory(), merge=None)
    third.restore(again.state())
    assert all(torch.equal(a, b) for a, b in zip(run(third, range(2, 4)), remembered[2:], strict=True))
    with_memory.reset()
    assert torch.equal(run(with_memory, range(1, 2))[0], alone[1])


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="give a refiner"):
        RefinedQueries(PatchGrid(), memory=QueryIndexMemory())
    with pytest.raises(InputError, match="tokens of width 6 and features of 81, these are 6 and 4"):
        RefinedQueries(flat(), refiner())(view_with_tokens(), MASKS)
    with pytest.raises(InputError, match="these queries remember nothing"):
        RefinedQueries(PatchGrid()).restore(QueryIndexMemory().state())
    other = RefinedQueries(PatchGrid(), refiner(replace(CONFIG, width=8)), QueryIndexMemory())
    other(view_with_tokens(), MASKS)
    with pytest.raises(InputError, match="the memory of another refiner: queries of 8, not 16"):
        RefinedQueries(PatchGrid(), refiner(), QueryIndexMemory()).restore(other.state())


def test_a_refiner_comes_back_from_its_folder(tmp_path: Path) -> None:
    model = refiner()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(asdict(CONFIG)))
    loaded = load_refiner(tmp_path)
    assert loaded.config == CONFIG and not loaded.training
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in loaded.state_dict().items())


@pytest.mark.parametrize(("config", "why"), [
    ({"width": 32}, "no query refiner of the sizes in config.json"), ({"layers": 3}, "no query refiner of the sizes"),
    ({"colour": 1}, r"config.json: no sizes of a query refiner \('colour'"), (None, "no such file"),
])
def test_a_folder_of_something_else_is_refused(config: dict[str, int] | None, why: str, tmp_path: Path) -> None:
    save_file(refiner().state_dict(), tmp_path / "model.safetensors")
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(asdict(CONFIG) | config))
    with pytest.raises(InputError, match=why) as error:
        load_refiner(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_refiner(tmp_path / "nowhere")
