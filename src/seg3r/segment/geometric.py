"""A segmenter without weights: objects from the shape of surfaces and their colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from seg3r.kernels import geometric as kernels
from seg3r.types import Masks, View


@dataclass(frozen=True)
class GeometricSegmenter:
    """View -> Masks."""

    work_size: tuple[int, int] = (240, 320)
    """Larger images are reduced by a whole number to about this size (H, W)."""
    noise_floor_m: float = 0.0012
    noise_growth: float = 0.0019
    """Depth noise: floor + growth (z - 0.4)^2."""
    jump: float = 3.0
    angle: float = 0.5
    contrast: float = 20.0
    scale: float = 100.0
    patch_pixels: int = 20
    max_patches: int = 500
    min_pixels: int = 60
    affinity: tuple[float, ...] = (2.0, -3, -3, -3, 0, -2, -4, -1, -4, 1, -0.3, 0, 1, -1, -3, -3, -1, -1)

    def __call__(self, view: View) -> Masks:
        depth = torch.where(view.confidence > 0, view.depth, torch.zeros_like(view.depth))
        depth_np = np.ascontiguousarray(depth.cpu().numpy())
        rgb = np.ascontiguousarray(view.frame.rgb.cpu().numpy())
        H, W = depth_np.shape
        step = max(1, round(max(H / self.work_size[0], W / self.work_size[1])))
        K = view.camera.K.cpu().numpy()
        pinhole = (K[0, 0] / step, K[1, 1] / step, (K[0, 2] + 0.5) / step - 0.5, (K[1, 2] + 0.5) / step - 0.5)
        disparity, colour = kernels.shrink(depth_np, rgb, step)
        sigma = kernels.disparity_noise(disparity, self.noise_floor_m, self.noise_growth)
        disparity = kernels.smooth_disparity(kernels.smooth_disparity(disparity, sigma, 2, 4.0), sigma, 2, 3.0)
        colour = kernels.smooth_colour(colour, 2, 30.0)
        planes = kernels.fit_planes(disparity, sigma, pinhole, 4, 3.0)
        right, down = kernels.edge_weights(
            disparity, sigma, planes, colour, pinhole, self.jump, self.angle, self.contrast
        )
        labels, count = kernels.graph_patches(
            right, down, disparity, self.scale, self.patch_pixels, self.max_patches
        )
        labels, count = kernels.dissolve_strips(labels, count, right, down, 0.15, 4.0)
        sums, _ = kernels.region_sums(labels, count, disparity, sigma, colour, pinhole)
        labels = kernels.settle(
            labels, sums, disparity, sigma, colour, pinhole, self.jump, self.contrast, 4
        )
        sums, boxes = kernels.region_sums(labels, count, disparity, sigma, colour, pinhole)
        border = kernels.border_sums(labels, sums, disparity, sigma, planes, colour, pinhole, 6, self.jump, 0.015)
        wall = kernels.bounding_planes(sums, disparity, sigma, pinhole, 0.03, 2.5, 0.02, 0.04)
        weights = np.asarray(self.affinity, np.float64)
        region = kernels.merge_regions(sums, boxes, border, wall, weights)
        clear = kernels.apartness(sums, boxes, border, wall, weights)
        kept = np.flatnonzero((region == np.arange(count)) & (sums[:, kernels.AREA] * step * step >= self.min_pixels))
        slots = np.full(count, -1, np.int32)
        slots[kept] = np.arange(kept.size)
        full = kernels.expand(labels, disparity, depth_np, step, 0.05)
        masks = torch.from_numpy(kernels.masks_of(full, slots[region], kept.size)).to(view.depth.device)
        rim = sums[kept, kernels.RIM] / np.maximum(sums[kept, kernels.AREA], 1)
        scores = np.maximum(clear[kept] * (1.0 - 0.5 * rim), 1e-3).astype(np.float32)
        return Masks(masks, torch.from_numpy(scores).to(view.depth.device))
