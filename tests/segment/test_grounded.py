"""Detector + segmenter -> disjoint, named masks."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from seg3r.protocols import Segmenter
from seg3r.segment.detect import Boxes, Detector
from seg3r.segment.grounded import Grounded, settled
from seg3r.segment.sam2 import Sam2
from tests.models import tiny
from tests.models.views import random_rgb, view_of


def filled(rgb: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    out = torch.zeros(len(boxes), *rgb.shape[:2], dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(out, boxes.long().tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    return out, torch.ones(len(boxes))


def seen(*boxes: tuple[float, float, float, float, float, str]) -> Boxes:
    return Boxes(torch.tensor([b[:4] for b in boxes]).float().view(-1, 4), torch.tensor([b[4] for b in boxes]),
                 tuple(b[5] for b in boxes))


def test_the_smaller_mask_wins() -> None:
    found = seen((0, 0, 40, 30, 0.9, "desk"), (10, 10, 30, 20, 0.5, "book"))
    out = Grounded(lambda rgb: found, filled)(view_of(random_rgb(48, 80)))
    assert out.names == ("desk", "book") and out.scores.tolist() == found.scores.tolist()
    assert out.masks.flatten(1).sum(1).tolist() == [1000, 200]
    assert not (out.masks[0] & out.masks[1]).any()


def test_what_is_too_small_or_too_large_goes() -> None:
    found = seen(
        (0, 0, 80, 48, 0.9, "wall"),  # all of the frame
        (0, 0, 20, 10, 0.8, "shelf"),  # 200 pixels, of which 120 are the book's
        (0, 0, 12, 10, 0.7, "book"),
        (60, 30, 69, 40, 0.6, "cup"),  # 90 pixels
    )
    out = Grounded(lambda rgb: found, filled)(view_of(random_rgb(48, 80)))
    assert out.names == ("book",) and out.masks.sum() == 120


@given(st.integers(0, 1000), st.integers(0, 6), st.integers(0, 40), st.sampled_from([0.3, 0.6, 1.0]))
def test_settled(seed: int, count: int, least: int, share: float) -> None:
    g = torch.Generator().manual_seed(seed)
    masks = torch.rand(count, 9, 11, generator=g) < torch.rand(count, 1, 1, generator=g)
    keep, left = settled(masks, least, share)
    assert not (left & ~masks[keep]).any() and bool((left.sum(0) <= 1).all())
    assert (left.flatten(1).sum(1) >= least).all()
    assert (masks[keep].flatten(1).sum(1) <= share * 99).all()
    assert keep.tolist() == sorted(keep.tolist())


def test_nothing_seen() -> None:
    out = Grounded(lambda rgb: seen(), filled)(view_of(random_rgb(48, 80)))
    assert out.masks.shape == (0, 48, 80) and out.names == ()


def test_the_real_parts_fit() -> None:
    detect = Detector(tiny.owlv2(), ["chair", "lamp"], tiny.clip_tokenizer(), threshold=0.0)
    grounded = Grounded(detect, Sam2(tiny.sam2()), min_area=1, max_share=1.0)
    assert isinstance(grounded, Segmenter)
    out = grounded(view_of(random_rgb(48, 80)))
    assert len(out) > 0 and out.names is not None and set(out.names) <= {"chair", "lamp"}
    assert bool((out.masks.sum(0) <= 1).all())
