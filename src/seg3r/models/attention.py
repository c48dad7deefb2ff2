"""Multi-head attention, for every network of this package."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from seg3r.models.rotary import Turns, turn

Tokens = Float[Tensor, "b n d"]
Others = Float[Tensor, "b m d"]
OtherTurns = tuple[Float[Tensor, "b 1 m q"], Float[Tensor, "b 1 m q"]]


def attended(
    q: Float[Tensor, "b heads n head"], k: Float[Tensor, "b heads m head"], v: Float[Tensor, "b heads m head"],
    allowed: Bool[Tensor, "#b #heads n m"] | None = None,
) -> Float[Tensor, "b heads n head"]:
    """Softmax attention. What is learnt on a CPU is spelt out: the backward pass of the fused form is four times slower
    there.

    Args:
        allowed: which of `m` each of `n` may attend to, at least one; None: all.
    """
    if torch.is_grad_enabled() and q.device.type == "cpu":
        logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        weights: Tensor = logits.softmax(-1)
        return weights @ v
    return functional.scaled_dot_product_attention(q, k, v, allowed)


class SelfAttention(nn.Module):
    """Of tokens among themselves; one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tokens, at: Turns | None) -> Tokens:
        """
        Args:
            at: rotary turns of `x`; None: without positions.
        """
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if at is not None:
            q, k = turn(q, at), turn(k, at)
        return self.proj(attended(q, k, v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """Of tokens to others (or, given the same ones, among themselves)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self, x: Tokens, y: Others, at: Turns | None = None, y_at: OtherTurns | None = None,
        allowed: Bool[Tensor, "#b #heads n m"] | None = None,
    ) -> Tokens:
        """
        Args:
            at, y_at: rotary turns of `x` and `y`; None: without positions.
            allowed: see `attended`.
        """
        q, k = self._queries_keys(x, y, at, y_at)
        seen = attended(q, k, self.v(y).unflatten(-1, (self.heads, -1)).transpose(1, 2), allowed)
        return self.proj(seen.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def weights(
        self, x: Tokens, y: Others, at: Turns | None, y_at: OtherTurns | None
    ) -> tuple[Float[Tensor, "b heads n m"], Float[Tensor, "b heads n"]]:
        """Softmax over `y` of what `forward` weighs its values by; and the mean over `y` of what went into it."""
        q, k = self._queries_keys(x, y, at, y_at)
        logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return logits.softmax(-1), logits.mean(-1)

    def _queries_keys(self, x: Tokens, y: Others, at: Turns | None, y_at: OtherTurns | None) -> tuple[Tensor, Tensor]:
        q, k = (f(z).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f, z in ((self.q, x), (self.k, y)))
        return (q if at is None else turn(q, at)), (k if y_at is None else turn(k, y_at))
