"""Image, boxes -> masks: SAM 2 and 2.1 (Ravi et al., arXiv 2408.00714; code and weights Apache-2.0)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from seg3r.models import images
from seg3r.weights import pretrained

CLASSES = {"sam2": "Sam2Model", "sam2_video": "Sam2Model"}


class Sam2:
    """RGB, boxes -> the mask of what fills each box, and the IoU the model expects it to have with the truth."""

    def __init__(
        self, source: str | Path | Any, device: torch.device | str = "cpu", boxes_at_once: int = 64
    ) -> None:
        """
        Args:
            source: name of weights, a folder, or the model itself.
            boxes_at_once: in one batch; the image is read once.
        Raises:
            InputError: no such weights.
            MissingExtraError: transformers is not installed.
        """
        self.model = pretrained.model(source, CLASSES, device)
        self.device = torch.device(device)
        self.side = int(self.model.config.prompt_encoder_config.image_size)
        self.boxes_at_once = boxes_at_once

    @torch.no_grad()
    def __call__(
        self, rgb: UInt8[Tensor, "H W 3"], boxes: Float32[Tensor, "n 4"]
    ) -> tuple[Bool[Tensor, "n H W"], Float32[Tensor, "n"]]:
        H, W = rgb.shape[:2]
        masks, quality = rgb.new_zeros((len(boxes), H, W), dtype=torch.bool), boxes.new_zeros(len(boxes))
        if not len(boxes):
            return masks, quality
        pixels = images.prepared(rgb.to(self.device), (self.side, self.side), images.IMAGENET)
        prompts = images.scaled(boxes.to(self.device), self.side / W, self.side / H)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            read = self.model.get_image_embeddings(pixels)
        seen = [maps.float() for maps in read]  # half precision would move the prompts by pixels
        for start in range(0, len(boxes), self.boxes_at_once):
            part = slice(start, start + self.boxes_at_once)
            cut = self.model(image_embeddings=seen, input_boxes=prompts[None, part], multimask_output=False)
            masks[part] = (images.restored(cut.pred_masks[0, :, 0], (H, W)) > 0).to(masks.device)
            quality[part] = cut.iou_scores[0, :, 0].to(quality.device)
        return masks, quality
