"""Transformer blocks of CUT3R (arXiv 2501.12387, section 3; CroCo v2): pre-norm, exact GELU, rotary positions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from seg3r.models.attention import CrossAttention, Others, OtherTurns, SelfAttention, Tokens
from seg3r.models.rotary import Turns

EPSILON = 1e-6
"""Of layer norms."""
RATIO = 4
"""Width of a block's MLP over its own."""



class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class EncoderBlock(nn.Module):
    """Self-attention and MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.attn, self.mlp = SelfAttention(width, heads), Mlp(width, RATIO * width, width)

    def forward(self, x: Tokens, at: Turns | None) -> Tokens:
        x = x + self.attn(self.norm1(x), at)
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class Tap(NamedTuple):
    """What a cross-attention did, mean over its heads."""

    weights: Float[Tensor, "b n m"]
    logits: Float[Tensor, "b n"]
    """Before the softmax, mean over `m`."""


class DecoderBlock(nn.Module):
    """Self-attention, cross-attention to other tokens, MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3, self.norm_y = (nn.LayerNorm(width, EPSILON) for _ in range(4))
        self.attn, self.cross = SelfAttention(width, heads), CrossAttention(width, heads)
        self.mlp = Mlp(width, RATIO * width, width)

    def forward(
        self, x: Tokens, y: Others, at: Turns | None = None, y_at: OtherTurns | None = None, tap: bool = False
    ) -> tuple[Tokens, Tap | None]:
        """
        Args:
            tap: also look into the cross-attention.
        """
        y = self.norm_y(y)
        x = x + self.attn(self.norm1(x), at)
        asked = self.norm2(x)
        seen = Tap(*(each.mean(1) for each in self.cross.weights(asked, y, at, y_at))) if tap else None
        x = x + self.cross(asked, y, at, y_at)
        return x + self.mlp(self.norm3(x)), seen


class ModulatedNorm(nn.Module):
    """A layer norm shifted and scaled by another token (adaptive layer norm: Peebles & Xie, ICCV 2023)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.by = nn.LayerNorm(width, EPSILON), nn.Linear(width, 2 * width)

    def forward(self, x: Tokens, token: Float[Tensor, "b d"]) -> Tokens:
        shift, scale = self.by(functional.silu(token))[:, None].chunk(2, dim=-1)
        return self.norm(x) * (1 + scale) + shift  # type: ignore[no-any-return]


class ModulatedBlock(nn.Module):
    """An encoder block whose norms a token modulates."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ModulatedNorm(width), ModulatedNorm(width)
        self.attn, self.mlp = SelfAttention(width, heads), Mlp(width, RATIO * width, width)

    def forward(self, x: Tokens, token: Float[Tensor, "b d"], at: Turns) -> Tokens:
        x = x + self.attn(self.norm1(x, token), at)
        return x + self.mlp(self.norm2(x, token))  # type: ignore[no-any-return]


class PoseMemory(nn.Module):
    """Which summary of an image went with which pose: a few slots, read before a frame is decoded and written after."""

    def __init__(self, encoder_width: int, width: int, heads: int, slots: int, depth: int) -> None:
        super().__init__()
        self.look = nn.Linear(encoder_width, width)  # the name its weights are stored under
        self.unknown = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.initial = nn.Parameter(0.02 * torch.randn(1, slots, 2 * width))
        self.write_blocks = nn.ModuleList(DecoderBlock(2 * width, heads) for _ in range(depth))
        self.read_blocks = nn.ModuleList(DecoderBlock(2 * width, heads) for _ in range(depth))

    def read(self, summary: Float[Tensor, "b 1 e"], memory: Float[Tensor, "b l m"]) -> Float[Tensor, "b 1 d"]:
        """The pose token that the slots hold for the mean token of an image."""
        asked = torch.cat((self.look(summary), self.unknown.expand(len(summary), -1, -1)), dim=-1)
        for block in self.read_blocks:
            asked, _ = block(asked, memory)
        return asked.chunk(2, dim=-1)[1]

    def write(
        self, summary: Float[Tensor, "b 1 e"], pose: Float[Tensor, "b 1 d"], memory: Float[Tensor, "b l m"]
    ) -> Float[Tensor, "b l m"]:
        """The slots after a frame whose pose token came out as `pose`."""
        entry = torch.cat((self.look(summary), pose), dim=-1)
        for block in self.write_blocks:
            memory, _ = block(memory, entry)
        return memory
