from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seg3r.embed.patches import Patches, PatchGrid
from seg3r.kernels.patches import patch_coverage
from seg3r.types import Masks, View
from tests.models.views import random_rgb
from tests.segment.scenes import Box, render

SCENE = [
    Box((-0.4, -0.1, 0.0), (-0.15, 0.15, 0.2), (190, 60, 50)), Box((0.15, -0.1, 0.0), (0.4, 0.15, 0.25), (50, 80, 180)),
]


def scene(size: tuple[int, int] = (120, 160)) -> tuple[View, Masks]:
    view, truth = render(SCENE, size)
    return view, Masks((truth[None] == torch.arange(3)[:, None, None]), torch.ones(3), names=("ground", "red", "blue"))


def features(masks: Masks) -> torch.Tensor:
    assert masks.features is not None
    return masks.features


@pytest.mark.parametrize("pool", ["mask", "box"])
def test_unit_length_and_names_kept(pool: str) -> None:
    view, masks = scene()
    out = Patches(pool=pool)(view, masks)  # type: ignore[arg-type]
    assert torch.allclose(features(out).norm(dim=1), torch.ones(3), atol=1e-5)
    assert out.names == masks.names
    assert torch.equal(out.masks, masks.masks)


@pytest.mark.parametrize("size", [(120, 160), (120, 158)])
def test_order_of_masks_is_order_of_features(size: tuple[int, int]) -> None:
    view, masks = scene(size)
    order = torch.tensor([2, 0, 1])
    assert torch.equal(features(Patches()(view, masks))[order], features(Patches()(view, masks[order])))


def test_each_mask_is_described_alone() -> None:
    view, masks = scene()
    together = features(Patches()(view, masks))
    alone = torch.cat([features(Patches()(view, masks[torch.tensor([i])])) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_coverage_is_the_same_by_words_and_by_bytes() -> None:
    _, masks = scene()
    words = masks.masks.numpy().view("uint8")
    none = torch.zeros((0, 0, 0), dtype=torch.int64).numpy().view("uint64")
    for patch in (4, 8, 12):
        by_words = patch_coverage(words.view("uint64"), words, patch)
        assert (by_words == patch_coverage(none, words, patch)).all()
        assert by_words.sum() * patch**2 == pytest.approx(120 * 160, rel=1e-5)


def test_no_evidence_is_the_zero_vector() -> None:
    view, masks = scene()
    specks = torch.zeros(2, 120, 160, dtype=torch.bool)
    specks[0, 3, 3] = True
    out = features(Patches()(view, Masks(specks, torch.ones(2))))
    assert torch.equal(out, torch.zeros_like(out))
    assert features(Patches()(view, masks[torch.zeros(3, dtype=torch.bool)])).shape == (0, out.shape[1])


def test_the_same_thing_in_dimmer_light_stays_nearer_than_another() -> None:
    view, masks = scene()
    dim = replace(view, frame=replace(view.frame, rgb=(view.frame.rgb.float() * 0.7).to(torch.uint8)))
    a, b = features(Patches()(view, masks)), features(Patches()(dim, masks))
    same, other = (a * b).sum(1), a @ b.T
    assert (same - other.fill_diagonal_(0).max(1).values).min() > 0.1


def test_the_box_sees_what_the_mask_leaves_out() -> None:
    view, masks = scene()
    frame = torch.zeros(1, 120, 160, dtype=torch.bool)
    frame[0, 10:110, 10:150] = True
    frame[0, 20:100, 20:140] = False
    hollow = Masks(frame, torch.ones(1))
    by_mask, by_box = features(Patches()(view, hollow)), features(Patches(pool="box")(view, hollow))
    red = features(Patches()(view, masks))[1:2]
    assert (by_box * red).sum() > (by_mask * red).sum()


def test_white_has_features() -> None:
    """Rounding once put the lightness of white beyond the last bin, a negative vote and no number."""
    white = torch.full((24, 32, 3), 255, dtype=torch.uint8)
    grid = PatchGrid()(white)
    assert bool(torch.isfinite(grid).all()) and grid.min() >= 0


@pytest.mark.parametrize(("size", "cells"), [
    ((144, 192), (18, 24)), ((360, 540), (18, 27)), ((480, 640), (18, 24)), ((64, 48), (24, 18)),
    ((241, 319), (18, 24)),
])
def test_a_dense_grid_spans_the_image(size: tuple[int, int], cells: tuple[int, int]) -> None:
    grid = PatchGrid()(random_rgb(*size))
    assert grid.shape == (*cells, 81)
    assert torch.allclose(grid.norm(dim=-1), torch.ones(cells), atol=1e-3)


def test_dense_features_lie_where_the_colours_are() -> None:
    rgb = torch.zeros(90, 120, 3, dtype=torch.uint8)
    rgb[:, :60, 0], rgb[:, 60:, 2] = 200, 200
    grid = PatchGrid()(rgb)
    cosine = torch.einsum("hwc,c->hw", grid, grid[9, 2])
    assert cosine[:, 1:11].min() > 0.99 and cosine[:, 13:23].max() < 0.7


def test_dense_features_depend_little_on_the_resolution() -> None:
    coarse = torch.nn.functional.interpolate(random_rgb(18, 24).permute(2, 0, 1)[None].float(), (144, 192))
    small = coarse[0].permute(1, 2, 0).to(torch.uint8)
    large = small.repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert (PatchGrid()(small) * PatchGrid()(large)).sum(-1).min() > 0.98
