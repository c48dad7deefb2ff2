"""Boxes -> masks, with a tiny untrained SAM 2."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seg3r.segment.sam2 import Sam2
from tests.models import tiny
from tests.models.views import random_rgb

BOXES = torch.tensor([[0.0, 0, 80, 48], [10, 10, 30, 40], [60, 5, 79, 20], [3, 3, 5, 4], [20, 0, 70, 48]])


def test_boxes_in_a_batch_are_boxes_alone() -> None:
    rgb, model = random_rgb(48, 80), tiny.sam2()
    masks, quality = Sam2(model)(rgb, BOXES)
    assert masks.shape == (5, 48, 80) and masks.dtype == torch.bool and quality.shape == (5,)
    for one in (Sam2(model, boxes_at_once=1), Sam2(model, boxes_at_once=2)):
        again, quality_again = one(rgb, BOXES)
        assert torch.equal(masks, again) and torch.allclose(quality, quality_again, atol=1e-5)


def test_no_boxes() -> None:
    masks, quality = Sam2(tiny.sam2())(random_rgb(48, 80), torch.zeros(0, 4))
    assert masks.shape == (0, 48, 80) and quality.shape == (0,)


def test_half_precision_stays_near(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, sam = random_rgb(48, 80), Sam2(tiny.sam2())
    masks, quality = sam(rgb, BOXES)
    tiny.in_half_precision(monkeypatch)
    near, quality_near = sam(rgb, BOXES)
    assert (near ^ masks).float().mean() < 0.05
    assert quality_near.dtype == torch.float32 and torch.allclose(quality, quality_near, atol=0.01)


def test_a_place_in_the_image_goes_to_the_model_and_back() -> None:
    """A model that fills exactly the box it is given returns that box, in a wide image and in a tall one."""
    for H, W in ((48, 96), (96, 48), (64, 64)):
        sam = Sam2(tiny.sam2())

        def forward(image_embeddings: Any, input_boxes: Any, multimask_output: bool) -> SimpleNamespace:
            assert not multimask_output and len(image_embeddings) == 3
            at = (torch.arange(16) + 0.5) * 4  # cells of the model's square of 64
            x0, y0, x1, y1 = (input_boxes[0][:, i, None, None] for i in range(4))
            depth = torch.minimum(
                torch.minimum(at[None, None] - x0, x1 - at[None, None]),
                torch.minimum(at[None, :, None] - y0, y1 - at[None, :, None]),
            )
            return SimpleNamespace(pred_masks=depth[None, :, None], iou_scores=torch.ones(1, len(depth), 1))

        sam.model.forward = forward
        box = torch.tensor([[W * 0.25, H * 0.125, W * 0.75, H * 0.5]])
        masks, _ = sam(random_rgb(H, W), box)
        rows, columns = masks[0].any(1).nonzero().flatten(), masks[0].any(0).nonzero().flatten()
        found = [columns[0].item(), rows[0].item(), columns[-1].item() + 1, rows[-1].item() + 1]
        assert torch.allclose(torch.tensor(found).float(), box[0], atol=1.0)
