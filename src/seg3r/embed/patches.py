"""Descriptors without weights: what DINO's patch tokens are to the foundation preset, histograms are to a bare CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from seg3r.choices import Pool
from seg3r.errors import check_choice
from seg3r.kernels import patches as kernels
from seg3r.types import Masks, View


@dataclass(frozen=True)
class Patches:
    """Fills `masks.features` with pooled patch histograms, unit length [m 81]; keeps identity and names.

    Each patch holds three histograms with linear votes: chroma, as intensity-normalised opponent colours (red - green,
    yellow - blue), so that shading moves it little; lightness; and the orientation of gradients with their full turn
    (Dalal & Triggs, CVPR 2005), the share without gradient in a bin of its own. A mask's descriptor is their mean
    over the patches weighted by the fraction of each patch it covers (mask pooling of arXiv 2512.03532, histograms for
    DINO), each histogram weighted, and the square root of all (Hellinger kernel; Arandjelovic & Zisserman, CVPR 2012):
    its length is 1 by construction, and the cosine of two is the weighted Bhattacharyya coefficient of their
    histograms, 1 for equal and 0 for disjoint ones. Nothing is random, nothing learnt.

    A mask that covers less than `min_coverage` patches in all gets the zero vector: no evidence.
    """

    patches_high: int = 30
    """Patches along the image's height: 8 x 8 pixels at 320x240, 16 x 16 at 640x480."""
    pool: Pool = "mask"
    """Over the mask, or over its bounding box (the ablation without mask-wise features)."""
    chroma: float = 0.6
    """Weight of the chroma histogram."""
    lightness: float = 0.25
    """Weight of the lightness histogram."""
    orientation: float = 0.15
    """Weight of the gradient histogram."""
    min_coverage: float = 0.25

    def __post_init__(self) -> None:
        check_choice("pool", self.pool, get_args(Pool))

    def __call__(self, view: View, masks: Masks) -> Masks:
        rgb = np.ascontiguousarray(view.frame.rgb.cpu().numpy())
        H, W = rgb.shape[:2]
        patch = max(1, round(H / self.patches_high))
        histograms = kernels.patch_histograms(rgb, patch, max(1, patch // 8)).reshape(-1, kernels.CHANNELS)
        pixels = np.ascontiguousarray(masks.masks.cpu().numpy()).view(np.uint8)
        words = pixels.view(np.uint64) if W % 8 == 0 else np.zeros((0, 0, 0), np.uint64)
        if self.pool == "mask":
            coverage = kernels.patch_coverage(words, pixels, patch)
        else:
            coverage = kernels.box_coverage(kernels.packed_mask_boxes(words, pixels), H, W, patch)
        shares = pixel_weights(self.chroma, self.lightness, self.orientation)
        features = kernels.pooled_histograms(coverage, histograms, shares, self.min_coverage)
        return replace(masks, features=torch.from_numpy(features).to(masks.masks.device))

    def reset(self) -> None:
        """Remembers nothing."""


def pixel_weights(chroma: float, lightness: float, orientation: float) -> Float32[np.ndarray, "bins"]:
    """Of each of a patch's bins."""
    each = np.full(kernels.CHANNELS, orientation, np.float32)
    each[: kernels.CHROMA_BINS**2] = chroma
    each[kernels.CHROMA_BINS**2 :][: kernels.LIGHTNESS_BINS] = lightness
    return each


@dataclass(frozen=True)
class PatchGrid:
    """Image -> the histograms of `Patches` as dense features [h w 81], each weighted, square-rooted, of unit length:
    what DINO's patch features are to the foundation preset.

    The image is brought to whole cells of `pixels` first: what a cell holds then depends little on the resolution.
    """

    cells: int = 18
    """Along the short side: 18 x 24 at 4:3."""
    pixels: int = 8
    """Side of a cell."""
    chroma: float = 0.6
    lightness: float = 0.25
    orientation: float = 0.15

    def __call__(self, rgb: UInt8[Tensor, "H W 3"]) -> Float32[Tensor, "h w c"]:
        size = [max(1, round(self.cells * n / min(rgb.shape[:2]))) * self.pixels for n in rgb.shape[:2]]
        image = rgb.cpu().numpy()
        if image.shape[:2] != (size[0], size[1]):
            how = cv2.INTER_AREA if min(size) < min(image.shape[:2]) else cv2.INTER_LINEAR
            image = cv2.resize(image, (size[1], size[0]), interpolation=how).astype(np.uint8, copy=False)
        histograms = kernels.patch_histograms(np.ascontiguousarray(image), self.pixels, 1)
        return torch.from_numpy(np.sqrt(histograms * pixel_weights(self.chroma, self.lightness, self.orientation)))
