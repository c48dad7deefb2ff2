"""View, Masks -> Masks with features: patch features of DINOv2 or DINOv3, pooled.

DINOv2: Oquab et al., arXiv 2304.07193, code and weights Apache-2.0. DINOv3: arXiv 2508.10104, DINOv3 License (Meta).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from jaxtyping import Bool, Float32
from torch import Tensor, nn

from seg3r.choices import Pool
from seg3r.errors import check_choice
from seg3r.models import images
from seg3r.models.grids import coverage
from seg3r.types import Masks, View
from seg3r.weights import pretrained

CLASSES = {
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
}
FINER = 4
"""How many times finer the features are sampled for a mask of less than one patch."""


class Dino:
    """Fills `masks.features` with mask-pooled DINO features, unit length; keeps identity and names.

    Pooling weights each patch by the fraction of it that the mask covers (mask-guided pooling of arXiv 2512.03532). A
    mask of less than one patch in all is pooled from features sampled four times finer; one of less than
    `min_coverage` patches gets the zero vector: no evidence.
    """

    def __init__(
        self,
        source: str | Path | Any,
        device: torch.device | str = "cpu",
        short_side: int = 518,
        over: Pool = "mask",
        min_coverage: float = 0.25,
    ) -> None:
        """
        Args:
            source: name of weights, a folder, or the model itself.
            short_side: of the image as the model sees it, in pixels, rounded to whole patches; 714 for small things.
            over: the mask, or its bounding box (the ablation without mask-wise features).
            min_coverage: patches.
        Raises:
            InputError: no such weights.
            MissingExtraError: transformers is not installed.
        """
        check_choice("over", over, get_args(Pool))
        self.model = pretrained.model(source, CLASSES, device)
        self.device = torch.device(device)
        config = self.model.config
        self.patch = int(config.patch_size)
        self.extra = 1 + int(getattr(config, "num_register_tokens", 0))
        # Each family was trained with its own filter.
        self.mode = "bilinear" if config.model_type == "dinov3_vit" else "bicubic"
        self.short_side, self.over, self.min_coverage = short_side, over, min_coverage

    def __call__(self, view: View, masks: Masks) -> Masks:
        features = self.dense(view.frame.rgb)
        pixels = masks.masks.to(self.device)
        if self.over == "box":
            pixels = filled_boxes(pixels)
        pooled = pooled_features(features, pixels, self.min_coverage)
        return replace(masks, features=pooled.to(masks.masks.device))

    @torch.no_grad()
    def dense(self, rgb: Tensor) -> Float32[Tensor, "h w c"]:
        """Features of the patches of an image uint8 [H W 3], on the model's device."""
        size = images.by_short_side((rgb.shape[0], rgb.shape[1]), self.short_side, multiple=self.patch)
        pixels = images.prepared(rgb.to(self.device), size, images.IMAGENET, mode=self.mode)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            tokens: Tensor = self.model(pixel_values=pixels).last_hidden_state[0, self.extra :]
        return tokens.float().view(size[0] // self.patch, size[1] // self.patch, -1)

    def reset(self) -> None:
        """Remembers nothing."""


def _sampling(cells: int) -> Float32[Tensor, "cells fine"]:
    """How much each of a line's cells gives to each of `FINER` times as many when sampled linearly."""
    one = torch.eye(cells)[None]
    return nn.functional.interpolate(one, scale_factor=FINER, mode="linear", align_corners=False)[0]


def pooled_features(
    features: Float32[Tensor, "h w c"], masks: Bool[Tensor, "m H W"], min_coverage: float = 0.25
) -> Float32[Tensor, "m c"]:
    """Mean of the features under each mask, weighted by coverage, unit length; zero where there is no evidence.

    Args:
        features: of a grid of patches over the whole image.
        min_coverage: patches covered in all, below which there is none.
    """
    h, w = features.shape[:2]
    weight = coverage(masks, (h, w)).flatten(1)
    evidence = weight.sum(1)
    pooled = weight @ features.flatten(0, 1)
    small = ((evidence >= min_coverage) & (evidence < 1)).nonzero().flatten()
    if len(small):
        # Sampling is linear, so the weights are brought back to the patches instead of the features to finer cells.
        rows, columns = (_sampling(n).to(features.device) for n in (h, w))
        fine = coverage(masks[small], (h * FINER, w * FINER))
        pooled[small] = torch.einsum("hH,mHW,wW->mhw", rows, fine, columns).flatten(1) @ features.flatten(0, 1)
    # A thing seen by too little of a patch has the descriptor of its surroundings.
    pooled[evidence < min_coverage] = 0
    return nn.functional.normalize(pooled, dim=1)


def filled_boxes(masks: Bool[Tensor, "m H W"]) -> Bool[Tensor, "m H W"]:
    """Each mask's bounding box, as a mask."""
    def between(any_: Tensor) -> Tensor:
        ahead = any_.cumsum(1) > 0
        behind = any_.flip(1).cumsum(1).flip(1) > 0
        return ahead & behind

    return between(masks.any(2))[:, :, None] & between(masks.any(1))[:, None, :]
