"""From tokens to points, confidence and pose."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from seg3r.models.cut3r.blocks import Mlp

FINE = 16
"""Pixels of a token's side that the pyramid itself reaches: four times by its finest level, twice by its last fusion,
twice by its head."""


class ResidualConvolutions(nn.Module):
    """x + two convolutions, each after a ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(functional.relu(self.conv1(functional.relu(x))))  # type: ignore[no-any-return]


class Fusion(nn.Module):
    """A level of the pyramid joins what comes from the coarser ones; twice the size comes out."""

    def __init__(self, width: int, joins: bool) -> None:
        super().__init__()
        self.level = ResidualConvolutions(width) if joins else None
        self.both, self.out = ResidualConvolutions(width), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        if self.level is not None and level is not None:
            x = x + self.level(level)
        return self.out(_doubled(self.both(x)))  # type: ignore[no-any-return]


class DensePrediction(nn.Module):
    """Tokens of four depths -> a value per pixel (DPT: Ranftl et al., ICCV 2021)."""

    def __init__(
        self, token_widths: tuple[int, int, int, int], widths: tuple[int, int, int, int], features: int, last: int,
        patch: int, out: int = 4,
    ) -> None:
        super().__init__()
        a, b, c, d = widths
        self.scale = nn.ModuleList((
            nn.Sequential(nn.Conv2d(token_widths[0], a, 1), nn.ConvTranspose2d(a, a, 4, 4)),
            nn.Sequential(nn.Conv2d(token_widths[1], b, 1), nn.ConvTranspose2d(b, b, 2, 2)),
            nn.Sequential(nn.Conv2d(token_widths[2], c, 1)),
            nn.Sequential(nn.Conv2d(token_widths[3], d, 1), nn.Conv2d(d, d, 3, 2, padding=1)),
        ))
        self.level = nn.ModuleList(nn.Conv2d(width, features, 3, padding=1, bias=False) for width in widths)
        self.fuse = nn.ModuleList(Fusion(features, joins=n < 3) for n in range(4))
        self.narrow = nn.Conv2d(features, features // 2, 3, padding=1)
        self.mix, self.out = nn.Conv2d(features // 2, last, 3, padding=1), nn.Conv2d(last, out, 1)
        self.magnify = 2 * patch // FINE

    def forward(
        self, tokens: tuple[Tensor, Tensor, Tensor, Tensor], size: tuple[int, int]
    ) -> Float[Tensor, "b out H W"]:
        """
        Args:
            tokens: [b n c] each, of a grid (h, w), coarsest use last.
            size: (h, w).
        """
        maps = [t.transpose(1, 2).reshape(len(t), -1, *size) for t in tokens]
        levels = [level(scale(m)) for level, scale, m in zip(self.level, self.scale, maps, strict=True)]
        x = self.fuse[3](levels[3])
        x = x[:, :, : levels[2].shape[2], : levels[2].shape[3]]  # an odd grid was halved upwards
        for n in (2, 1, 0):
            x = self.fuse[n](x, levels[n])
        x = self.narrow(x)
        if self.magnify == 2:
            x = _doubled(x)
        return self.out(functional.relu(self.mix(x)))  # type: ignore[no-any-return]


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


class PointHead(nn.Module):
    """DPT, read as points and confidence."""

    def __init__(self, dense: DensePrediction, focal: float | None = None) -> None:
        """
        Args:
            focal: nominal focal length in widths of the image. With it the three values are a depth and two small
                slants off the nominal rays, which a small network learns far sooner than free points.
        """
        super().__init__()
        self.dense, self.focal = dense, focal

    def forward(
        self, tokens: tuple[Tensor, Tensor, Tensor, Tensor], size: tuple[int, int]
    ) -> tuple[Float[Tensor, "b H W 3"], Float[Tensor, "b H W"]]:
        """Points: direction * (e^norm - 1), or along rays; confidence: 1 + e^x."""
        value = self.dense(tokens, size).float().permute(0, 2, 3, 1)
        points = stretched(value[..., :3]) if self.focal is None else along_rays(value[..., :3], self.focal)
        return points, 1 + value[..., 3].exp()


def along_rays(value: Float[Tensor, "b H W 3"], focal: float) -> Float[Tensor, "b H W 3"]:
    """Depth e^c on the ray of each pixel, leaning by (a, b): x = e^c (u + a), y = e^c (v + b)."""
    H, W = value.shape[1:3]
    v, u = ((torch.arange(n, device=value.device) - (n - 1) / 2) / (focal * W) for n in (H, W))
    slant = value[..., :2] + torch.stack(torch.meshgrid(u, v, indexing="xy"), dim=-1)
    return torch.cat((slant, torch.ones_like(slant[..., :1])), dim=-1) * value[..., 2:].exp()


def stretched(x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """The vector of the same direction and the length e^|x| - 1."""
    length: Tensor = x.norm(dim=-1, keepdim=True).clamp_min(1e-8)
    return x / length * length.expm1()


class Pose(NamedTuple):
    """Camera to world, as a network gives it."""

    translation: Float[Tensor, "b 3"]
    quaternion: Float[Tensor, "b 4"]
    """w x y z, unit length, w >= 0."""


class PoseHead(nn.Module):
    """The decoded pose token -> a pose."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = Mlp(width, 4 * width, 7)

    def forward(self, token: Float[Tensor, "b d"]) -> Pose:
        value = self.mlp(token).float()
        q = functional.normalize(value[:, 3:], dim=-1)
        return Pose(stretched(value[:, :3]), torch.where(q[:, :1] < 0, -q, q))
