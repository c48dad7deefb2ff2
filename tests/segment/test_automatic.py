"""A grid of points -> masks, with tiny untrained SAM 1 and SAM 2."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seg3r.models import images
from seg3r.protocols import Segmenter
from seg3r.segment.automatic import Automatic
from tests.models import tiny
from tests.models.views import random_rgb, view_of

MODELS = {"sam": tiny.sam, "sam2": tiny.sam2}
LOOSE = {"points_per_side": 4, "min_iou": -9.0, "min_stability": 0.0, "min_area": 0, "nms": 1.0}


@pytest.mark.parametrize("kind", MODELS)
def test_points_in_a_batch_are_points_alone(kind: str) -> None:
    view, model = view_of(random_rgb(48, 80)), MODELS[kind]()
    segment = Automatic(model, **LOOSE)
    assert isinstance(segment, Segmenter)
    out = segment(view)
    assert len(out) == 48 and out.masks.shape[1:] == (48, 80) and out.names is None
    assert out.scores.tolist() == sorted(out.scores.tolist(), reverse=True)
    again = Automatic(model, **LOOSE, points_at_once=5)(view)
    assert torch.allclose(out.scores, again.scores, atol=1e-6)
    assert sorted(out.masks.flatten(1).sum(1).tolist()) == sorted(again.masks.flatten(1).sum(1).tolist())


@pytest.mark.parametrize("kind", MODELS)
def test_half_precision_stays_near(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    view, segment = view_of(random_rgb(48, 80)), Automatic(MODELS[kind](), **LOOSE)
    exact = segment(view)
    tiny.in_half_precision(monkeypatch)
    near = segment(view)
    assert near.scores.dtype == torch.float32 and len(near) == len(exact)
    assert torch.allclose(near.scores, exact.scores, atol=0.02)


@pytest.mark.parametrize("kind", MODELS)
def test_filters(kind: str) -> None:
    view, model = view_of(random_rgb(48, 80)), MODELS[kind]()
    everything = Automatic(model, **LOOSE)(view)
    middle = float(everything.scores.median())
    sure = Automatic(model, **(LOOSE | {"min_iou": middle}))(view)
    assert 0 < len(sure) < len(everything) and (sure.scores >= middle).all()
    area = int(everything.masks.flatten(1).sum(1).median())
    large = Automatic(model, **(LOOSE | {"min_area": area}))(view)
    assert 0 < len(large) < len(everything) and (large.masks.flatten(1).sum(1) >= area).all()
    steady = Automatic(model, **(LOOSE | {"min_stability": 0.5, "stability_offset": 0.01}))(view)
    assert len(steady) < len(everything)
    boxes = images.mask_boxes(Automatic(model, **(LOOSE | {"nms": 0.3}))(view).masks)
    assert (images.box_iou_2d(boxes, boxes) - torch.eye(len(boxes))).max() <= 0.3
    none = Automatic(model, **(LOOSE | {"min_iou": 2.0}))(view)
    assert none.masks.shape == (0, 48, 80)


def test_each_model_has_its_own_idea_of_a_good_mask() -> None:
    assert Automatic(tiny.sam()).min_iou == 0.88 and Automatic(tiny.sam2()).min_iou == 0.8


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("H", "W"), [(48, 96), (90, 40)])
def test_a_point_of_the_image_goes_to_the_model_and_back(kind: str, H: int, W: int) -> None:
    """A model that marks a disc at the point it is given marks the points of the grid over the image."""
    segment = Automatic(MODELS[kind](), **(LOOSE | {"points_per_side": 3}))

    def forward(image_embeddings: Any, input_points: Any, input_labels: Any, multimask_output: bool) -> SimpleNamespace:
        assert multimask_output and input_labels.shape == input_points.shape[:-1]
        at = (torch.arange(16) + 0.5) * 4  # cells of the model's square of 64
        x, y = (input_points[0, :, :, i, None] for i in range(2))
        discs = 8 - torch.hypot(at[None, None] - x, at[None, :, None] - y)
        return SimpleNamespace(pred_masks=discs[None, :, None].repeat(1, 1, 3, 1, 1),
                               iou_scores=torch.ones(1, len(discs), 3))

    segment.model.forward = forward
    masks = segment(view_of(random_rgb(H, W))).masks
    at = torch.stack([m.nonzero().float().mean(0) + 0.5 for m in masks])
    expected = (images.point_grid(3) * torch.tensor([W, H])).flip(1)
    gap = torch.cdist(at, expected).min(1).values
    assert len(masks) == 27 and gap.max() < 2.0
    sides = images.mask_boxes(masks)
    round_ = (sides[:, 2] - sides[:, 0]) / (sides[:, 3] - sides[:, 1])
    # SAM 1 sees the image as it is, SAM 2 squashed to its square.
    assert torch.allclose(round_, torch.tensor(1.0 if kind == "sam" else W / H), rtol=0.25)
