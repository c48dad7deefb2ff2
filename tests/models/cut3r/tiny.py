"""A CUT3R of a few hundred thousand parameters, whose every width differs, and the reference's numbers for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from seg3r.models.cut3r import Cut3r, Cut3rConfig, load_weights

DATA = Path(__file__).parents[2] / "data" / "cut3r"
TINY = Cut3rConfig(
    encoder_width=64, encoder_depth=2, encoder_heads=4, decoder_width=48, decoder_depth=4, decoder_heads=4,
    state_heads=6, states=30, slots=8, pyramid=(12, 24, 36, 48), features=16, last=8,
)


@cache
def reference_weights() -> dict[str, Tensor]:
    return {name: value.float() for name, value in load_file(DATA / "weights.safetensors").items()}


@cache
def reference_model() -> Cut3r:
    model = Cut3r(TINY)
    load_weights(model, reference_weights(), "fixture")
    return model.eval()


def random_model(seed: int = 0, **changes: object) -> Cut3r:
    torch.manual_seed(seed)
    return Cut3r(replace(TINY, **changes)).eval()  # type: ignore[arg-type]


@cache
def clip(name: str) -> Tensor:
    """[t 3 H W] in -1..1."""
    pixels = np.load(DATA / "inputs.npz")[f"{name}_u8"]
    return torch.from_numpy((pixels.astype(np.float32) / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()


def moving(frames: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Random pictures [t 3 H W]."""
    return torch.rand(frames, 3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
