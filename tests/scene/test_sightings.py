"""The few best looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.scene.sightings import CROP_PX, KEEP, better_sightings, cut_sighting
from seg3r.types import Camera, Frame, Sighting, View


def view_of(H: int, W: int) -> View:
    rng = np.random.default_rng(0)
    camera = Camera(torch.eye(3, dtype=torch.float64), torch.eye(4, dtype=torch.float64), (H, W))
    frame = Frame(4, 0.0, torch.from_numpy(rng.integers(0, 256, (H, W, 3)).astype(np.uint8)))
    return View(frame, camera, torch.ones(H, W), torch.zeros(H, W, 3), torch.ones(H, W))


def toward(degrees: float) -> torch.Tensor:
    angle = np.radians(degrees)
    return torch.tensor([np.cos(angle), np.sin(angle), 0], dtype=torch.float32)


def look(score: float, degrees: float = 0) -> Sighting:
    crop = torch.zeros(1, 1, 3, dtype=torch.uint8)
    mask = torch.ones(1, 1, dtype=torch.bool)
    return Sighting(0, (0, 0, 1, 1), float(score), 1, crop, mask, toward(degrees), view_of(1, 1).camera)


def offer(kept: tuple[Sighting, ...], score: float, degrees: float) -> tuple[Sighting, ...]:
    return better_sightings(kept, float(score), toward(degrees), lambda: look(score, degrees))


def test_best_first_apart_and_few() -> None:
    rng, kept = np.random.default_rng(0), ()
    best = 0.0
    for _ in range(300):
        score, degrees = float(rng.uniform(1, 100)), float(rng.uniform(0, 360))
        kept = offer(kept, score, degrees)
        best = max(best, score)
        assert len(kept) <= KEEP
        assert [s.score for s in kept] == sorted((s.score for s in kept), reverse=True)
        cosines = torch.stack([s.direction for s in kept]) @ torch.stack([s.direction for s in kept]).T
        assert float((cosines - 2 * torch.eye(len(kept))).max()) <= 0.97
        assert kept[0].score >= best / 1.15 - 1e-9
    assert len(kept) == KEEP


def test_a_crop_costs_nothing_unless_it_is_kept() -> None:
    def never() -> Sighting:
        raise AssertionError

    kept = offer((), 10, 0)
    assert better_sightings(kept, 11.0, toward(3), never) is kept
    assert len(offer(kept, 11, 40)) == 2
    assert [s.score for s in offer(kept, 12, 3)] == [12]
    full = kept
    for i in range(1, KEEP):
        full = offer(full, 10, 40 * i)
    assert better_sightings(full, 11.0, toward(-60), never) is full
    assert offer(full, 12, -60)[0].score == 12


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("box", [(3, 5, 20, 30), (0, 0, 60, 90), (55, 80, 60, 90), (10, 10, 11, 11)])
def test_the_crop_shows_the_thing(box: tuple[int, int, int, int], stride: int) -> None:
    view = view_of(60, 90)
    inside = np.zeros((60, 90), bool)
    inside[box[0] : box[2], box[1] : box[3]] = True
    pixels = np.argwhere(inside)
    pixels = pixels[(pixels % stride == 0).all(1)]
    if not len(pixels):
        pixels = np.array([[box[0] // stride * stride, box[1] // stride * stride]])
    sighting = cut_sighting(view.frame, view.camera, pixels, stride, 1.0, len(pixels), toward(0))
    r0, c0, r1, c1 = sighting.box
    assert (r0, c0) == tuple(pixels.min(0))
    assert (r1, c1) == tuple(np.minimum(pixels.max(0) + stride, (60, 90)))
    assert sighting.crop.shape[:2] == sighting.mask.shape
    assert max(sighting.mask.shape) <= CROP_PX
    covered = np.zeros((60, 90), bool)
    for dr in range(stride):
        for dc in range(stride):
            at = pixels + np.array([dr, dc])
            at = at[(at < (60, 90)).all(1)]
            covered[at[:, 0], at[:, 1]] = True
    assert int(sighting.mask.sum()) == covered.sum(), "no reduction here: mask pixels are image pixels"
    top, left = (int(x) for x in np.argwhere(sighting.mask.numpy()).min(0))
    (h, w), top, left = sighting.mask.shape, r0 - top, c0 - left
    window = view.frame.rgb[top : top + h, left : left + w]
    assert torch.equal(window, sighting.crop)


@pytest.mark.parametrize("size", [(400, 600), (1300, 5), (5, 1300), (700, 3)])
def test_large_and_narrow_ones_are_reduced(size: tuple[int, int]) -> None:
    view = view_of(*size)
    pixels = np.argwhere(np.ones(size, bool))[:: 1 if min(size) < 10 else 7]
    sighting = cut_sighting(view.frame, view.camera, pixels, 1, 1.0, len(pixels), toward(0))
    assert min(sighting.mask.shape) >= 1
    assert max(sighting.mask.shape) <= CROP_PX
    assert sighting.crop.shape[:2] == sighting.mask.shape
    assert bool(sighting.mask.any())
