"""Concepts -> masks, with a tiny untrained SAM 3."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seg3r.errors import InputError
from seg3r.models import images
from seg3r.protocols import Segmenter
from seg3r.segment.sam3 import Sam3, repeated
from tests.models import tiny
from tests.models.views import random_rgb, view_of

WORDS = ["chair", "coffee cup", "lamp", "a photo of a table that is much longer than the model can read"]
LOOSE = {"threshold": 0.0, "nms": 1.0, "min_area": 0, "max_share": 1.0}


def sam3(words: list[str] | None = None, **options: Any) -> Sam3:
    return Sam3(tiny.sam3(), WORDS if words is None else words, tiny.clip_tokenizer(), **(LOOSE | options))


def test_masks_are_named_disjoint_and_best_first() -> None:
    segment = sam3(threshold=0.2, min_area=1)
    assert isinstance(segment, Segmenter)
    out = segment(view_of(random_rgb(48, 80)))
    assert len(out) > 0 and out.names is not None and set(out.names) <= set(WORDS)
    assert bool((out.masks.sum(0) <= 1).all())
    assert out.scores.tolist() == sorted(out.scores.tolist(), reverse=True)


def test_words_in_a_batch_are_words_alone() -> None:
    view = view_of(random_rgb(48, 80))
    batch, alone = sam3(words_at_once=3)(view), sam3(words_at_once=1)(view)
    assert len(batch) == len(WORDS) * 6 and batch.names == alone.names
    assert torch.allclose(batch.scores, alone.scores, atol=1e-5)
    assert torch.equal(batch.masks, alone.masks)


def test_half_precision_stays_near(monkeypatch: pytest.MonkeyPatch) -> None:
    view, segment = view_of(random_rgb(48, 80)), sam3()
    exact = segment(view)
    tiny.in_half_precision(monkeypatch)
    near = segment(view)
    assert near.scores.dtype == torch.float32 and len(near) == len(exact)
    assert torch.allclose(near.scores, exact.scores, atol=0.02)


def test_an_image_read_once_is_an_image_read_for_each_word() -> None:
    segment = sam3()
    pixels = images.prepared(random_rgb(48, 80), (56, 56), images.HALF)
    with torch.no_grad():
        once = segment.model(vision_embeds=repeated(segment.model.get_vision_features(pixels), 4),
                             input_ids=segment._ids, attention_mask=segment._filled)
        each = segment.model(pixel_values=pixels.repeat(4, 1, 1, 1), input_ids=segment._ids,
                             attention_mask=segment._filled)
    assert torch.allclose(once.pred_masks, each.pred_masks, atol=1e-4)
    assert torch.allclose(once.pred_logits, each.pred_logits, atol=1e-4)


def test_a_place_in_the_model_is_a_place_in_the_image() -> None:
    """A mask over the left quarter of the model's square is over the left quarter of a wide image."""
    segment = sam3(["chair"], threshold=0.5)
    real = segment.model.forward

    def forward(**given: Any) -> Any:
        out = real(**given)
        out.pred_logits = torch.tensor([[9.0, -9, -9, -9, -9, -9]])
        out.presence_logits = torch.logit(torch.tensor([[0.9]]))
        out.pred_masks = torch.full_like(out.pred_masks, -1.0)
        out.pred_masks[..., : out.pred_masks.shape[-1] // 4] = 1.0
        return out

    segment.model.forward = forward
    out = segment(view_of(random_rgb(32, 96)))
    assert out.names == ("chair",) and out.scores.item() == pytest.approx(0.9, abs=1e-3)
    assert out.masks[0].float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert out.masks[0, :, :20].all() and not out.masks[0, :, 28:].any()


def test_absent_concepts() -> None:
    out = sam3(threshold=0.99)(view_of(random_rgb(48, 80)))
    assert out.masks.shape == (0, 48, 80) and out.names == ()


def test_a_mask_that_fits_two_words_keeps_one() -> None:
    out = sam3(["chair", "chair"], nms=0.9999)(view_of(random_rgb(48, 80)))
    once = sam3(["chair"], nms=0.9999)(view_of(random_rgb(48, 80)))
    assert len(out) == len(once)


@pytest.mark.parametrize("words", [[], ["chair", ""]])
def test_no_words(words: list[str]) -> None:
    with pytest.raises(InputError, match="word"):
        sam3(words)
