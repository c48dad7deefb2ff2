"""Between pixels, windows and grids of cells: how much a mask covers, the values of a grid at another's cells."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional

MASKS_AT_ONCE = 16
Window = tuple[int, int, int, int]


def coverage(masks: Bool[Tensor, "m H W"], grid: tuple[int, int]) -> Float32[Tensor, "m h w"]:
    """Fraction of each cell of an (h, w) grid over the image that each mask covers; cells may cut pixels."""
    rows, columns = (_shares(n, cells).to(masks.device) for n, cells in zip(masks.shape[1:], grid, strict=True))
    parts = torch.split(masks, MASKS_AT_ONCE)
    return torch.cat([torch.einsum("hH,mHW,wW->mhw", rows, part.float(), columns) for part in parts])


def _shares(pixels: int, cells: int) -> Float32[Tensor, "cells pixels"]:
    """Which share of each of `cells` equal stretches of a line each of `pixels` equal ones makes up."""
    edge, cut = (torch.arange(n + 1, dtype=torch.float64) / n for n in (pixels, cells))
    shared = torch.minimum(cut[1:, None], edge[None, 1:]) - torch.maximum(cut[:-1, None], edge[None, :-1])
    return (shared.clamp_min(0) * cells).float()


def resampled(
    values: Float32[Tensor, "c h w"], grid: tuple[int, int], size: tuple[int, int], window: Window | None = None
) -> Float32[Tensor, "c gh gw"]:
    """A grid over a window of an image, read bilinearly at the cells of a grid over the whole image; 0 at cells whose
    centre lies outside the window.

    Args:
        size: (H, W) of the image.
        window: rows and columns (first, first, one past the last); None: all of the image.
    """
    top, left, bottom, right = window or (0, 0, *size)
    ends = ((top, bottom), (left, right))
    at = [
        ((torch.arange(cells, device=values.device) + 0.5) * n / cells - first) / (end - first) * 2 - 1
        for cells, n, (first, end) in zip(grid, size, ends, strict=True)
    ]
    down, across = torch.meshgrid(*at, indexing="ij")
    where = torch.stack((across, down), dim=-1)
    read = functional.grid_sample(values[None], where[None], "bilinear", "border", align_corners=False)[0]
    return read * ((down.abs() <= 1) & (across.abs() <= 1))
