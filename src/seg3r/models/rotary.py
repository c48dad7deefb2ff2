"""Rotary position embedding of a grid (RoPE2D, CroCo v2; base 100), for any integer position.

Angles are computed, not looked up: the pose token of CUT3R sits at (-1, -1).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

BASE = 100.0

Turns = tuple[Float[Tensor, "b 1 n q"], Float[Tensor, "b 1 n q"]]
"""Cosines and sines of a set of positions, ready for `turn`; q is half of the size of a head."""


def turns(positions: Int64[Tensor, "b n 2"], head: int) -> Turns:
    """
    Args:
        positions: (row, column) of each token.
        head: size of a head, a multiple of 4: its first half turns with the row, its second with the column.
    """
    rates = BASE ** (-4.0 / head * torch.arange(head // 4, device=positions.device, dtype=torch.float32))
    angles = positions[:, None, :, :, None].to(torch.float32) * rates  # [b 1 n 2 head/4]
    angles = angles.flatten(3)
    return angles.cos(), angles.sin()


def turn(x: Float[Tensor, "b heads n head"], by: Turns) -> Float[Tensor, "b heads n head"]:
    """Each half of a head is pairs (i, i + head/4), turned by the position times 100^(-4 i / head); in float32."""
    cos, sin = by
    quarter = x.shape[-1] // 4
    u, v = x.float().view(*x.shape[:-1], 2, 2, quarter).unbind(-2)  # [b heads n 2 head/4] each
    cos, sin = (t.view(*t.shape[:-1], 2, quarter) for t in (cos, sin))
    turned = torch.stack((u * cos - v * sin, v * cos + u * sin), dim=-2)
    return turned.flatten(-3).to(x.dtype)


def grid(rows: int, columns: int, device: torch.device | str = "cpu") -> Int64[Tensor, "n 2"]:
    """(row, column) of every cell, row by row."""
    return torch.cartesian_prod(
        torch.arange(rows, device=device), torch.arange(columns, device=device)
    ).view(-1, 2)
