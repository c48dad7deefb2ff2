"""Pixels, boxes and masks around a foundation model."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.models import images

side = st.integers(1, 400)


@given(side, side, st.integers(1, 100), st.sampled_from([1, 14, 16]))
def test_by_short_side_keeps_the_shape_of_things(H: int, W: int, short: int, multiple: int) -> None:
    h, w = images.by_short_side((H, W), short, multiple=multiple)
    assert h % multiple == 0 and w % multiple == 0 and min(h, w) >= multiple
    scale = short / min(H, W)
    for was, now in ((H, h), (W, w)):
        assert abs(now - was * scale) <= multiple / 2 or now == multiple
    assert max(images.by_short_side((H, W), short, 2 * short)) <= 2 * short


@given(side, side, st.integers(1, 400))
def test_by_long_side(H: int, W: int, long: int) -> None:
    h, w = images.by_long_side((H, W), long)
    assert max(h, w) == long
    assert (h >= w) == (H >= W) or h == w


def test_prepared_is_normalised_and_padded_right_and_below() -> None:
    rgb = torch.full((6, 8, 3), 255, dtype=torch.uint8)
    mean, std = images.IMAGENET
    out = images.prepared(rgb, (12, 16), images.IMAGENET, square=20)
    assert out.shape == (1, 3, 20, 20)
    for c in range(3):
        assert torch.allclose(out[0, c, :12, :16], torch.tensor((1 - mean[c]) / std[c]), atol=1e-5)
    assert not out[..., 12:, :].any() and not out[..., 16:].any()
    black = images.prepared(rgb, (12, 16), images.IMAGENET, square=20, padding=0.0)
    assert torch.allclose(black[0, :, 19, 19], -torch.tensor(mean) / torch.tensor(std))
    assert torch.equal(black[..., :12, :16], out[..., :12, :16])


def test_prepared_without_resizing_is_the_image() -> None:
    rgb = torch.randint(0, 256, (5, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    out = images.prepared(rgb, (5, 7), images.HALF)
    assert torch.allclose(out[0].permute(1, 2, 0) * 0.5 + 0.5, rgb / 255)


@pytest.mark.parametrize("inside", [(1.0, 1.0), (0.75, 1.0), (1.0, 0.6)])
def test_what_lies_at_a_place_of_the_image_comes_back_to_it(inside: tuple[float, float]) -> None:
    """A coarse map that holds its own coordinates holds those of the image's pixels once restored."""
    cells, size = 16, (48, 80)
    at = (torch.arange(cells) + 0.5) / cells
    maps = torch.stack([at[:, None].expand(cells, cells), at[None].expand(cells, cells)])
    y, x = images.restored(maps, size, inside)
    expected = torch.meshgrid(*((torch.arange(n) + 0.5) / n * s for n, s in zip(size, inside, strict=True)),
                              indexing="ij")
    for got, want in zip((y, x), expected, strict=True):
        inner = (want > at[0]) & (want < at[-1])  # linear between cell centres, constant outside
        assert torch.allclose(got[inner], want[inner], atol=1e-5)


def test_restored_by_sampling_is_restored_by_resizing() -> None:
    maps = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    part = images.restored(torch.nn.functional.pad(maps, (0, 8, 0, 8)), (20, 30), (0.5, 0.5))
    whole = images.restored(maps, (20, 30))
    assert torch.allclose(part[:, :18, :27], whole[:, :18, :27], atol=1e-5)  # the far edge looks into the padding


def boxes_from(seed: int, count: int, extent: int = 12) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(0, extent, (count, 2), generator=g) for _ in range(2))
    return torch.cat([torch.minimum(a, b), torch.maximum(a, b) + 1], dim=1).float()


def rasters(boxes: torch.Tensor, extent: int = 13) -> torch.Tensor:
    at = torch.arange(extent)
    x = (at >= boxes[:, :1]) & (at < boxes[:, 2:3])
    y = (at >= boxes[:, 1:2]) & (at < boxes[:, 3:])
    return y[:, :, None] & x[:, None]


@given(st.integers(0, 1000))
def test_box_iou_counts_pixels(seed: int) -> None:
    a, b = boxes_from(seed, 5), boxes_from(seed + 1, 4)
    p, q = rasters(a)[:, None], rasters(b)[None]
    expected = (p & q).sum((2, 3)) / (p | q).sum((2, 3))
    assert torch.allclose(images.box_iou_2d(a, b), expected)


def test_boxes_without_area_overlap_nothing() -> None:
    empty = torch.tensor([[2.0, 2, 2, 5]])
    assert images.box_iou_2d(empty, empty).item() == 0


@given(st.integers(0, 1000))
def test_corners_and_centres(seed: int) -> None:
    boxes = boxes_from(seed, 6)
    centres = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)
    assert torch.allclose(images.corners(centres), boxes)
    shifted = images.clipped(boxes - 6, (4, 7))
    assert (shifted >= 0).all() and (shifted[:, 2] <= 7).all() and (shifted[:, 3] <= 4).all()


@settings(max_examples=50)
@given(st.integers(0, 1000), st.sampled_from([0.1, 0.5, 0.9]), st.booleans())
def test_nms(seed: int, threshold: float, by_class: bool) -> None:
    boxes = boxes_from(seed, 12)
    g = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 6, (12,), generator=g) / 6
    classes = torch.randint(0, 2, (12,), generator=g) if by_class else None
    keep = images.nms(boxes, scores, threshold, classes).tolist()
    iou = images.box_iou_2d(boxes, boxes)

    def rivals(i: int, j: int) -> bool:
        return bool(iou[i, j] > threshold) and (classes is None or bool(classes[i] == classes[j]))

    assert not any(rivals(i, j) for i, j in itertools.combinations(keep, 2))
    for i in set(range(12)) - set(keep):
        assert any(rivals(i, j) and scores[j] >= scores[i] for j in keep)
    assert scores[keep].tolist() == sorted(scores[keep].tolist(), reverse=True)


def test_nms_of_nothing() -> None:
    assert images.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)


def test_point_grid_is_row_by_row_and_centred() -> None:
    grid = images.point_grid(4)
    assert grid.shape == (16, 2)
    assert torch.allclose(grid[:4], torch.tensor([[0.125, 0.125], [0.375, 0.125], [0.625, 0.125], [0.875, 0.125]]))
    assert torch.allclose(grid.mean(0), torch.tensor([0.5, 0.5]))


def test_stability_is_the_overlap_of_two_cuts() -> None:
    ramp = torch.linspace(-5, 5, 101).expand(1, 1, 101)  # steps of 0.1
    step = torch.where(ramp > 0, 9.0, -9.0)
    found = images.stability(torch.cat([ramp, step, torch.full_like(ramp, -9)]), 1.0)
    assert torch.allclose(found, torch.tensor([40 / 60, 1.0, 0.0]), atol=0.02)


@given(st.integers(0, 1000))
def test_mask_boxes_are_tight(seed: int) -> None:
    boxes = boxes_from(seed, 4)
    assert torch.equal(images.mask_boxes(rasters(boxes)), boxes)


def test_mask_boxes_of_empty_masks_and_of_none() -> None:
    assert images.mask_boxes(torch.zeros(2, 5, 6, dtype=torch.bool)).tolist() == [[0] * 4] * 2
    assert images.mask_boxes(torch.zeros(0, 5, 6, dtype=torch.bool)).shape == (0, 4)


@given(st.integers(0, 1000), st.integers(0, 5))
def test_disjoint_gives_each_pixel_to_the_smallest(seed: int, count: int) -> None:
    masks = torch.rand(count, 6, 7, generator=torch.Generator().manual_seed(seed)) > 0.6
    out = images.disjoint(masks)
    assert bool((out.sum(0) <= 1).all()) and torch.equal(out.any(0), masks.any(0))
    assert not (out & ~masks).any()
    areas = masks.flatten(1).sum(1)
    for row, column in masks.any(0).nonzero().tolist():
        claims = masks[:, row, column].nonzero().flatten()
        assert areas[out[:, row, column]].item() == areas[claims].min()
