"""View -> class-agnostic Masks: SAM 1 or SAM 2 asked at a grid of points (code and weights Apache-2.0).

Kirillov et al., ICCV 2023, app. B; Ravi et al., arXiv 2408.00714.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from seg3r.models import images
from seg3r.types import Masks, View
from seg3r.weights import pretrained

CLASSES = {"sam": "SamModel", "sam2": "Sam2Model", "sam2_video": "Sam2Model"}
LEAST_IOU = {"sam": 0.88, "sam2": 0.8, "sam2_video": 0.8}
"""Predicted IoU below which each model's own generator drops a mask."""


class Automatic:
    """Everything the model takes for a thing, best first; masks may overlap (a part and its whole).

    Of the three masks at each point those stay whose predicted IoU and stability are high; of masks with nearly one
    box, the best. The score is the predicted IoU.
    """

    def __init__(
        self,
        source: str | Path | Any,
        device: torch.device | str = "cpu",
        *,
        points_per_side: int = 32,
        points_at_once: int = 64,
        min_iou: float | None = None,
        min_stability: float = 0.95,
        stability_offset: float = 1.0,
        nms: float = 0.7,
        min_area: int = 100,
    ) -> None:
        """
        Args:
            source: name of weights, a folder, or the model itself.
            points_at_once: in one batch; the image is read once.
            min_iou: predicted; None: 0.88 for SAM 1, 0.8 for SAM 2.
            min_stability: IoU of the masks cut at plus and minus `stability_offset`.
            nms: a mask whose box overlaps a better one's by a higher IoU is dropped.
            min_area: pixels.
        Raises:
            InputError: no such weights.
            MissingExtraError: transformers is not installed.
        """
        self.model = pretrained.model(source, CLASSES, device)
        self.device = torch.device(device)
        kind = self.model.config.model_type
        self.keeps_aspect = kind == "sam"
        self.min_iou = LEAST_IOU[kind] if min_iou is None else min_iou
        self.side = int(self.model.config.prompt_encoder_config.image_size)
        self.grid = images.point_grid(points_per_side).to(self.device)
        self.points_at_once, self.nms, self.min_area = points_at_once, nms, min_area
        self.min_stability, self.stability_offset = min_stability, stability_offset

    @torch.no_grad()
    def __call__(self, view: View) -> Masks:
        rgb = view.frame.rgb.to(self.device)
        H, W = rgb.shape[:2]
        h, w = images.by_long_side((H, W), self.side) if self.keeps_aspect else (self.side, self.side)
        pixels = images.prepared(rgb, (h, w), images.IMAGENET, square=self.side)
        masks, scores = [], []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            read = self.model.get_image_embeddings(pixels)
        # SAM 1 has one map, SAM 2 several; half precision would move the prompts by pixels.
        seen = read.float() if isinstance(read, Tensor) else [maps.float() for maps in read]
        for points in torch.split(self.grid * self.grid.new_tensor([w, h]), self.points_at_once):
            cut = self.model(
                image_embeddings=seen,
                input_points=points[None, :, None],
                input_labels=torch.ones((1, len(points), 1), dtype=torch.int64, device=self.device),
                multimask_output=True,
            )
            score = cut.iou_scores[0].flatten()
            good = score >= self.min_iou
            inside = (h / self.side, w / self.side)
            logits = images.restored(cut.pred_masks[0].flatten(0, 1)[good], (H, W), inside)
            mask, score = self._steady(logits, score[good])
            masks.append(mask)
            scores.append(score)
        mask, score = torch.cat(masks), torch.cat(scores)
        stay = images.nms(images.mask_boxes(mask), score, self.nms)
        return Masks(mask[stay], score[stay]).to(view.depth.device)

    def _steady(
        self, logits: Float32[Tensor, "m H W"], scores: Float32[Tensor, "m"]
    ) -> tuple[Bool[Tensor, "k H W"], Float32[Tensor, "k"]]:
        mask = logits > 0
        keep = images.stability(logits, self.stability_offset) >= self.min_stability
        keep &= mask.flatten(1).sum(1) >= self.min_area
        return mask[keep], scores[keep]
