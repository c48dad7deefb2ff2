"""Dense features and their pooling."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seg3r.embed.dino import Dino, filled_boxes, pooled_features
from seg3r.models.grids import coverage
from seg3r.protocols import Embedder
from seg3r.types import Masks
from tests.models import tiny
from tests.models.views import random_rgb, view_of

KINDS = ["dinov2", "dinov2_with_registers", "dinov3_vit"]


def some_masks(count: int, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return torch.rand((count, *size), generator=torch.Generator().manual_seed(seed)) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_features_lie_where_the_patches_are(kind: str) -> None:
    """What changes most when one patch of the image changes is the token of that patch."""
    dino = Dino(tiny.dino(kind), short_side=48)
    p = dino.patch
    h, w = (3, 5)
    rgb = random_rgb(h * p, w * p)
    dino.short_side = h * p
    before = dino.dense(rgb)
    assert before.shape == (h, w, 24)
    for row, column in ((0, 4), (2, 0), (1, 3)):
        other = rgb.clone()
        other[row * p : (row + 1) * p, column * p : (column + 1) * p] = 255
        change = (dino.dense(other) - before).norm(dim=-1)
        assert change.argmax().item() == row * w + column


@pytest.mark.parametrize("kind", KINDS)
def test_embeds_masks_of_a_view(kind: str) -> None:
    dino = Dino(tiny.dino(kind), short_side=56)
    assert isinstance(dino, Embedder)
    H, W = 48, 80
    pixels = some_masks(3, (H, W))
    pixels[2] = False
    masks = Masks(pixels, torch.ones(3), names=("a", None, "b"))
    out = dino(view_of(random_rgb(H, W)), masks)
    assert out.names == masks.names and out.features is not None and out.features.shape == (3, 24)
    assert torch.allclose(out.features.norm(dim=1), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5)
    alone = dino(view_of(random_rgb(H, W)), masks[torch.tensor([1])])
    assert alone.features is not None and torch.allclose(alone.features[0], out.features[1], atol=1e-6)
    dino.reset()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_stays_near(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, dino = random_rgb(48, 80), Dino(tiny.dino(kind), short_side=56)
    exact = dino.dense(rgb)
    tiny.in_half_precision(monkeypatch)
    near = dino.dense(rgb)
    assert near.dtype == torch.float32
    assert functional.cosine_similarity(near, exact, dim=-1).min() > 0.99


def test_no_masks() -> None:
    out = Dino(tiny.dino(), short_side=28)(view_of(random_rgb(30, 40)), Masks(torch.zeros(0, 30, 40).bool(),
                                                                              torch.zeros(0)))
    assert out.features is not None and out.features.shape == (0, 24)


def test_over_box_is_over_the_mask_of_the_box() -> None:
    view, pixels = view_of(random_rgb(40, 60)), some_masks(2, (40, 60))
    pixels[:, :10], pixels[:, :, 40:] = False, False
    model = tiny.dino()
    over_box = Dino(model, short_side=56, over="box")(view, Masks(pixels, torch.ones(2)))
    of_box = Dino(model, short_side=56)(view, Masks(filled_boxes(pixels), torch.ones(2)))
    over_mask = Dino(model, short_side=56)(view, Masks(pixels, torch.ones(2)))
    assert over_box.features is not None and of_box.features is not None and over_mask.features is not None
    assert torch.equal(over_box.features, of_box.features)
    assert not torch.allclose(over_box.features, over_mask.features, atol=1e-4)


def test_filled_boxes() -> None:
    mask = torch.zeros(2, 6, 8, dtype=torch.bool)
    mask[0, 1, 2] = mask[0, 4, 5] = True
    box = torch.zeros(6, 8, dtype=torch.bool)
    box[1:5, 2:6] = True
    assert torch.equal(filled_boxes(mask)[0], box) and not filled_boxes(mask)[1].any()


def test_coverage_counts_pixels_of_each_patch() -> None:
    masks = some_masks(20, (12, 20))
    expected = masks.view(20, 3, 4, 4, 5).float().mean((2, 4))
    assert torch.allclose(coverage(masks, (3, 4)), expected, atol=1e-6)


@pytest.mark.parametrize("grid", [(5, 7), (3, 11), (40, 60)])
def test_coverage_of_patches_that_cut_pixels(grid: tuple[int, int]) -> None:
    """Nothing is lost, and a finer image of the same mask is covered alike."""
    masks = some_masks(4, (12, 20))
    found = coverage(masks, grid)
    assert torch.allclose(found.mean((1, 2)), masks.float().mean((1, 2)), atol=1e-5)
    finer = masks.repeat_interleave(3, 1).repeat_interleave(2, 2)
    assert torch.allclose(coverage(finer, grid), found, atol=1e-5)
    assert torch.allclose(coverage(torch.ones_like(masks), grid), torch.ones(4, *grid), atol=1e-5)


def test_pooling_is_the_mean_over_the_pixels() -> None:
    features = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    masks = some_masks(5, (12, 20))
    per_pixel = features.repeat_interleave(4, 0).repeat_interleave(5, 1)
    expected = torch.stack([per_pixel[m].mean(0) for m in masks])
    assert torch.allclose(pooled_features(features, masks), functional.normalize(expected, dim=1), atol=1e-5)


def test_less_than_a_patch_is_pooled_from_finer_features() -> None:
    features = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 48, 64, dtype=torch.bool)  # patches of 16 x 16
    masks[0, 20:32, 30:42] = True  # 144 of 256 pixels
    masks[1, 20:27, 30:39] = True  # 63: below a quarter
    fine = functional.interpolate(features.permute(2, 0, 1)[None], scale_factor=4, mode="bilinear")[0]
    per_pixel = fine.repeat_interleave(4, 1).repeat_interleave(4, 2)
    expected = functional.normalize(per_pixel[:, masks[0]].mean(1), dim=0)
    found = pooled_features(features, masks)
    assert torch.allclose(found[0], expected, atol=1e-5)
    assert not found[1].any()
    assert pooled_features(features, masks, min_coverage=0.1)[1].norm().item() == pytest.approx(1, abs=1e-5)


def test_equal_surroundings_make_equal_features() -> None:
    features = torch.ones(4, 4, 3)
    masks = some_masks(6, (32, 32))
    masks[5] = False
    masks[5, :6, :6] = True
    assert torch.allclose(pooled_features(features, masks), torch.full((6, 3), 3**-0.5), atol=1e-6)
