"""Masks of one frame -> queries of things: the trained part of MoonSeg3R (arXiv 2512.15577, section 3).

Written from a description of the paper; what it leaves open is decided here and named in `QueryRefinerConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from seg3r.models.attention import CrossAttention


@dataclass(frozen=True)
class QueryRefinerConfig:
    """Sizes and decisions. Only the number of layers and what is in one are the paper's."""

    tokens: int
    """Width of the reconstructor's tokens F3d; 0: there are none."""
    features: int
    """Width of the 2D features F2d."""
    width: int = 256
    """Of queries and of projected features."""
    heads: int = 8
    ffn: int = 1024
    """Width inside a layer's MLP."""
    psi: int = 512
    """Width inside the projection psi, one MLP for all positions; attention reads psi(F) as the losses do."""
    layers: int = 3
    attend_above: float = 0.5
    """A query sees the cells that its mask covers by more; if there is none, the one it covers most."""
    bias: float = -2.0
    """Of mask logits at the start: most cells are not in a mask."""


class Refined(NamedTuple):
    """The masks of a frame as queries."""

    prototypes: Float[Tensor, "m d"]
    """q: pooled."""
    queries: Float[Tensor, "m d"]
    """q': refined."""
    projected: Float[Tensor, "h w d"]
    """psi(F)."""


class QueryRefiner(nn.Module):
    """eta: pooled features -> prototype. psi: features -> where attention and mask logits live. phi: layers of
    [attention to the cells of the mask, attention to queries remembered, self-attention, MLP], pre-norm."""

    def __init__(self, config: QueryRefinerConfig) -> None:
        super().__init__()
        self.config = config
        d, both = config.width, config.tokens + config.features
        self.eta = nn.Linear(both, d)
        self.psi = nn.Sequential(nn.Linear(both, config.psi), nn.GELU(), nn.Linear(config.psi, d))
        self.phi = nn.ModuleList(RefinerLayer(d, config.heads, config.ffn) for _ in range(config.layers))
        self.seen_norm, self.remembered_norm, self.norm = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.scale, self.bias = nn.Parameter(torch.ones(())), nn.Parameter(torch.tensor(config.bias))

    def forward(
        self, tokens: Float[Tensor, "h w c3"], features: Float[Tensor, "h w c2"], masks: Float[Tensor, "m h w"],
        context: Float[Tensor, "k d"] | None = None,
    ) -> Refined:
        """
        Args:
            tokens, features: F3d, F2d on one grid; all zero where there are none.
            masks: share of each cell that each mask covers.
            context: refined queries of earlier frames that should be in view.
        """
        both = joined(tokens, features)
        projected = self.psi(both)
        prototypes = self.prototypes(both, masks)
        return Refined(prototypes, self.refine(prototypes, projected, masks, context), projected)

    def prototypes(self, both: Float[Tensor, "h w c"], masks: Float[Tensor, "m h w"]) -> Float[Tensor, "m d"]:
        """eta of the mean of the features under each mask."""
        return self.eta(pooled(both, masks))  # type: ignore[no-any-return]

    def refine(
        self, prototypes: Float[Tensor, "m d"], projected: Float[Tensor, "h w d"], masks: Float[Tensor, "m h w"],
        context: Float[Tensor, "k d"] | None = None,
    ) -> Float[Tensor, "m d"]:
        """phi."""
        allowed = attended_cells(masks, self.config.attend_above)
        seen = self.seen_norm(projected.flatten(0, 1))
        remembered = self.remembered_norm(context) if context is not None and len(context) else None
        queries = prototypes
        for layer in self.phi:
            queries = layer(queries, seen, allowed, remembered)
        return self.norm(queries)  # type: ignore[no-any-return]

    def logits(
        self, queries: Float[Tensor, "m d"], projected: Float[Tensor, "h w d"]
    ) -> Float[Tensor, "m h w"]:
        """How sure each query is of each cell: q'.psi(F) / sqrt(d), scaled and shifted."""
        dots = torch.einsum("md,hwd->mhw", queries, projected) / self.config.width**0.5
        logits: Tensor = dots * self.scale + self.bias
        return logits


class RefinerLayer(nn.Module):
    """See `QueryRefiner`."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(width) for _ in range(4))
        self.to_image, self.to_memory, self.to_queries = (CrossAttention(width, heads) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(
        self, queries: Float[Tensor, "m d"], seen: Float[Tensor, "n d"], allowed: Bool[Tensor, "m n"],
        remembered: Float[Tensor, "k d"] | None,
    ) -> Float[Tensor, "m d"]:
        queries = queries + self.to_image(self.norm1(queries)[None], seen[None], allowed=allowed[None, None])[0]
        if remembered is not None:
            queries = queries + self.to_memory(self.norm2(queries)[None], remembered[None])[0]
        normed = self.norm3(queries)[None]
        queries = queries + self.to_queries(normed, normed)[0]
        return queries + self.mlp(self.norm4(queries))  # type: ignore[no-any-return]


def joined(
    tokens: Float[Tensor, "*b h w c3"], features: Float[Tensor, "*b h w c2"]
) -> Float[Tensor, "*b h w c"]:
    """F = [F3d, F2d], each with zero mean and unit variance at every cell: neither outweighs the other by its scale.
    What is all zero stays so."""
    normed = (functional.layer_norm(part, part.shape[-1:]) for part in (tokens, features) if part.shape[-1])
    return torch.cat(tuple(normed), dim=-1)


def pooled(values: Float[Tensor, "h w c"], masks: Float[Tensor, "m h w"]) -> Float[Tensor, "m c"]:
    """Mean under each soft mask; 0 under an empty one."""
    weights = masks.flatten(1)
    return weights @ values.flatten(0, 1) / weights.sum(1, keepdim=True).clamp_min(1e-6)


def attended_cells(masks: Float[Tensor, "m h w"], above: float) -> Bool[Tensor, "m n"]:
    """Cells covered by more than `above`; the fullest one of a mask that has none."""
    share = masks.flatten(1)
    allowed = share > above
    fullest = functional.one_hot(share.argmax(1), share.shape[1]).bool()
    return allowed | (fullest & ~allowed.any(1, keepdim=True))
