from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from seg3r.geometry import mask_iou, rigid
from seg3r.kernels.geometric.joining import FEATURES
from seg3r.segment.geometric import Affinity, GeometricSegmenter
from seg3r.types import Masks, View
from tests.segment.scenes import Box, Patch, Sphere, render

RED, BLUE, GREEN, GREY = (190, 60, 50), (50, 80, 180), (60, 150, 70), (150, 150, 145)
SCENES = {
    "a box": [Box((-0.15, -0.15, 0.0), (0.15, 0.15, 0.25), RED)],
    "a box of the colour of the ground": [Box((-0.15, -0.15, 0.0), (0.15, 0.15, 0.25), GREY)],
    "two boxes apart": [
        Box((-0.4, -0.1, 0.0), (-0.15, 0.15, 0.2), RED), Box((0.15, -0.1, 0.0), (0.4, 0.15, 0.25), RED),
    ],
    "two boxes that touch": [
        Box((-0.2, -0.1, 0.0), (0.0, 0.1, 0.2), RED), Box((0.0, -0.03, 0.0), (0.2, 0.1, 0.27), BLUE),
    ],
    "one before the other": [
        Box((-0.12, -0.3, 0.0), (0.12, -0.15, 0.15), BLUE), Box((-0.2, 0.1, 0.0), (0.2, 0.3, 0.35), GREEN),
    ],
    "a ball": [Sphere((0.0, 0.0, 0.15), 0.15, GREEN)],
    "a flat square": [Patch((-0.25, -0.25), (0.25, 0.25), BLUE)],
}
SEGMENT = GeometricSegmenter()


def best_ious(masks: Masks, truth: torch.Tensor) -> torch.Tensor:
    ids = torch.unique(truth[truth > 0])
    objects = (truth[None] == ids[:, None, None]).flatten(1)
    return mask_iou(masks.masks.flatten(1), objects).max(0).values


@pytest.mark.parametrize("noise_seed", [None, 3])
@pytest.mark.parametrize("name", SCENES)
def test_each_object_is_one_mask(name: str, noise_seed: int | None) -> None:
    view, truth = render(SCENES[name], (240, 320), noise_seed)
    masks = SEGMENT(view)
    assert best_ious(masks, truth).min() > 0.7
    assert ((masks.scores > 0) & (masks.scores <= 1)).all()


def test_there_is_a_weight_for_every_feature() -> None:
    assert len(fields(Affinity)) == FEATURES


def test_what_parts_nothing_leaves_one_mask_and_what_joins_nothing_leaves_patches() -> None:
    view, _ = render(SCENES["one before the other"], noise_seed=4)
    blank = replace(Affinity(), **{f.name: 0.0 for f in fields(Affinity)})
    joined = GeometricSegmenter(affinity=replace(blank, bias=1.0))(view)
    patches = GeometricSegmenter(affinity=replace(blank, bias=-1.0))(view)
    assert len(joined) == 1 < len(SEGMENT(view)) <= len(patches)
    assert bool((joined.masks[0] >= patches.masks.any(0)).all())


def test_masks_are_disjoint_and_lie_where_depth_is() -> None:
    view, _ = render(SCENES["two boxes apart"], noise_seed=1)
    masks = SEGMENT(view).masks
    assert int(masks.sum(0).max()) <= 1
    assert not bool((masks.any(0) & (view.depth == 0)).any())


def test_distrusted_pixels_are_in_no_mask() -> None:
    view, _ = render(SCENES["a ball"])
    confidence = view.confidence.clone()
    confidence[:, :60] = 0
    masks = SEGMENT(replace(view, confidence=confidence)).masks
    assert len(masks) > 0
    assert not bool(masks[:, :, :60].any())


def test_a_rigid_motion_of_the_world_changes_nothing() -> None:
    Q, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    motion = rigid(Q * torch.linalg.det(Q), torch.tensor([30.0, -7.0, 2.0], dtype=torch.float64))
    here, _ = render(SCENES["one before the other"], noise_seed=5)
    there, _ = render(SCENES["one before the other"], noise_seed=5, motion=motion)
    a, b = SEGMENT(here), SEGMENT(there)
    assert torch.equal(a.masks, b.masks)
    assert torch.equal(a.scores, b.scores)


def test_the_same_view_twice_gives_the_same_masks() -> None:
    view, _ = render(SCENES["two boxes that touch"], noise_seed=2)
    a, b = SEGMENT(view), SEGMENT(view)
    assert torch.equal(a.masks, b.masks)
    assert torch.equal(a.scores, b.scores)


def test_no_depth_gives_no_masks() -> None:
    view, _ = render(SCENES["a box"])
    nothing = torch.zeros_like(view.depth)
    masks = SEGMENT(replace(view, depth=nothing))
    assert masks.masks.shape == (0, *view.depth.shape)


def test_a_bare_wall_is_one_mask() -> None:
    view, _ = render([])
    wall = replace(view, depth=torch.full_like(view.depth, 2.0))
    masks = SEGMENT(wall)
    assert len(masks) == 1
    assert bool(masks.masks.all())


@pytest.mark.parametrize("size", [(480, 640), (360, 540), (239, 321), (33, 47), (7, 5)])
def test_any_size(size: tuple[int, int]) -> None:
    view, truth = render(SCENES["a box"], size)
    masks = SEGMENT(view)
    assert masks.masks.shape[1:] == truth.shape
    if size[0] > 200:
        assert best_ious(masks, truth).min() > 0.7


def test_scattered_depth_is_survived() -> None:
    view, _ = render(SCENES["a box"])
    torch.manual_seed(0)
    noise: View = replace(view, depth=torch.rand_like(view.depth) * 5 * (torch.rand_like(view.depth) > 0.5))
    masks = SEGMENT(noise)
    assert int(masks.masks.sum(0).max()) <= 1
