"""Colour brought onto the depth's pixel grid, once, at the source: downstream a pixel is a pixel of both.

Depth is never resampled (interpolating it across an edge invents surfaces that are not there); colour, which is
smooth enough, is. Pixel centres are integers throughout.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from PIL import Image
from torch import Tensor

from seg3r import geometry

OCCLUSION_TOLERANCE = 0.05
"""Relative: a point this much farther than the nearest on its colour pixel is hidden from the colour camera."""


def resize_color(rgb: UInt8[Tensor, "H W 3"], size: tuple[int, int]) -> UInt8[Tensor, "h w 3"]:
    """Another size for the same view: area-weighted when shrinking, bilinear when growing."""
    image = Image.fromarray(rgb.numpy()).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image))


def color_at_depth(
    rgb: UInt8[Tensor, "H W 3"],
    depth: Float32[Tensor, "h w"],
    K_color: Float64[Tensor, "3 3"],
    K_depth: Float64[Tensor, "3 3"],
    T_color_depth: Float64[Tensor, "4 4"] | None = None,
) -> tuple[UInt8[Tensor, "h w 3"], Float32[Tensor, "h w"]]:
    """The colour image as the depth camera would have taken it, and the depth where there is a colour.

    Cameras with one centre and axes (T_color_depth None) are related by their intrinsics alone; otherwise each depth
    pixel's point is projected into the colour image, pixels without depth as if at the median depth. Colour is
    sampled bilinearly after an area reduction to about the depth's resolution. Depth is dropped (0) where the colour
    camera did not see the point: outside its image, or hidden behind a nearer one; the colour there is the nearest
    border's, or the nearer thing's.

    Args:
        rgb: colour image.
        depth: metres, 0 = missing.
        K_color: intrinsics of `rgb`.
        K_depth: intrinsics of `depth`.
        T_color_depth: the depth camera in the colour camera's frame.
    """
    if T_color_depth is None:
        uv = _same_view(depth, K_color, K_depth)
        seen = _inside(uv, rgb)
    else:
        points = geometry.transform(T_color_depth, geometry.unproject(_filled(depth), K_depth))
        uv, z = geometry.project(points, K_color)
        seen = _inside(uv, rgb) & (z > 0)
        seen &= ~_hidden(uv, z, seen & (depth > 0), float(K_depth[0, 0] / K_color[0, 0]))
    factor = int(min(K_color[0, 0] / K_depth[0, 0], K_color[1, 1] / K_depth[1, 1]))
    return _sample(rgb, uv, max(factor, 1)), torch.where(seen, depth, torch.zeros_like(depth))


def _same_view(
    depth: Float32[Tensor, "h w"], K_color: Float64[Tensor, "3 3"], K_depth: Float64[Tensor, "3 3"]
) -> Float32[Tensor, "h w 2"]:
    homography = K_color @ torch.linalg.inv(K_depth)
    u = torch.arange(depth.shape[1], dtype=torch.float64)
    v = torch.arange(depth.shape[0], dtype=torch.float64)[:, None]
    along = [(row[0] * u + row[2]).to(torch.float32) + (row[1] * v).to(torch.float32) for row in homography[:2]]
    return torch.stack(along, dim=-1)


def _filled(depth: Float32[Tensor, "h w"]) -> Float32[Tensor, "h w"]:
    known = depth[depth > 0]
    return torch.where(depth > 0, depth, known.median()) if known.numel() else torch.ones_like(depth)


def _inside(uv: Float32[Tensor, "h w 2"], rgb: UInt8[Tensor, "H W 3"]) -> Bool[Tensor, "h w"]:
    """Within the image's area, half a pixel around the outermost centres included."""
    u, v = uv.unbind(-1)
    return (u >= -0.5) & (u <= rgb.shape[1] - 0.5) & (v >= -0.5) & (v <= rgb.shape[0] - 0.5)


def _hidden(
    uv: Float32[Tensor, "h w 2"], z: Float32[Tensor, "h w"], known: Bool[Tensor, "h w"], scale: float
) -> Bool[Tensor, "h w"]:
    """Behind a nearer point that falls on the same pixel of a colour image reduced to the depth's resolution."""
    cells = torch.round((uv[known] + 0.5) * scale).to(torch.int64)
    if not len(cells):
        return torch.zeros_like(known)
    key: Int64[Tensor, "n"] = cells[:, 1] * (cells[:, 0].max() + 1) + cells[:, 0]
    nearest = torch.full((int(key.max()) + 1,), float("inf"))
    nearest.scatter_reduce_(0, key, z[known], "amin")
    hidden: Tensor = torch.zeros_like(known)
    hidden[known] = z[known] > nearest[key] * (1 + OCCLUSION_TOLERANCE)
    return hidden


def _sample(rgb: UInt8[Tensor, "H W 3"], uv: Float[Tensor, "h w 2"], factor: int) -> UInt8[Tensor, "h w 3"]:
    """Bilinear, the border repeated outside, from the image averaged over blocks so that it does not alias."""
    if factor > 1:
        rgb = torch.from_numpy(np.array(Image.fromarray(rgb.numpy()).reduce(factor)))
        uv = (uv + 0.5) / factor - 0.5
    grid = (uv * 2 + 1) / torch.tensor([rgb.shape[1], rgb.shape[0]], dtype=uv.dtype) - 1
    image = rgb.permute(2, 0, 1)[None].to(uv.dtype)
    sampled = torch.nn.functional.grid_sample(image, grid[None], "bilinear", "border", align_corners=False)
    return sampled[0].add_(0.5).to(torch.uint8).permute(1, 2, 0).contiguous()
