"""Views of nothing in particular."""

from __future__ import annotations

import torch

from seg3r.types import Camera, Frame, View


def random_rgb(H: int, W: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (H, W, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def view_of(rgb: torch.Tensor) -> View:
    """A flat wall one metre away."""
    H, W = rgb.shape[:2]
    K = torch.tensor([[W, 0, W / 2], [0, W, H / 2], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K, torch.eye(4, dtype=torch.float64), (H, W))
    depth = torch.ones(H, W)
    return View(Frame(0, 0.0, rgb, depth, camera), camera, depth, torch.zeros(H, W, 3), torch.ones(H, W))
