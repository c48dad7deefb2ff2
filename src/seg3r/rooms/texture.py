"""Colours and materials: how a surface reflects, as a row of numbers for the shader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Float64, Int32

Pattern = Literal[
    "plain", "plaster", "wood", "carpet", "weave", "stripes", "checks", "tiles", "planks", "poster", "rug", "clock",
    "leaf", "screen", "keys", "dots", "cardboard", "view", "shade", "paper", "brick",
]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
"""A pattern's number in the shader is its place here."""

RGB = tuple[float, float, float]

COLORS: dict[str, RGB] = {
    "white": (0.88, 0.87, 0.85), "black": (0.10, 0.10, 0.11), "grey": (0.50, 0.51, 0.52), "red": (0.72, 0.14, 0.13),
    "green": (0.22, 0.46, 0.24), "blue": (0.17, 0.32, 0.62), "yellow": (0.90, 0.74, 0.20),
    "orange": (0.88, 0.46, 0.14), "brown": (0.42, 0.27, 0.17), "purple": (0.42, 0.25, 0.52),
    "pink": (0.88, 0.56, 0.62), "beige": (0.79, 0.69, 0.54), "turquoise": (0.24, 0.62, 0.62),
}
"""sRGB."""


@dataclass(frozen=True)
class Material:
    """A pattern between two colours. Sizes in metres, colours linear."""

    pattern: Pattern
    a: RGB
    b: RGB
    scale: float = 1.0
    """Of the pattern's features: period, tile, board width."""
    contrast: float = 1.0
    gloss: float = 0.0
    """Share of light that mirrors."""
    seed: float = 0.0
    """Tells apart patterns of one kind."""
    glow: float = 0.0
    """Own light."""


def linear(color: Sequence[float] | Float64[np.ndarray, "3"]) -> RGB:
    """sRGB 0..1 to linear light (IEC 61966-2-1, with the power 2.2 for the curve)."""
    r, g, b = (float(c) ** 2.2 for c in color)
    return r, g, b


def shade_of(name: str, rng: np.random.Generator, spread: float = 0.05) -> RGB:
    """A colour that a person would call by this name, linear."""
    base = np.array(COLORS[name])
    drawn = base * (1 + rng.normal(0, spread)) + rng.normal(0, spread / 3, 3)
    return linear(np.clip(drawn, 0.03, 0.97))


def darker(color: RGB, factor: float) -> RGB:
    """Scaled, clipped to 0..1."""
    r, g, b = (min(1.0, c * factor) for c in color)
    return r, g, b


def texel_table(materials: Sequence[Material]) -> tuple[Int32[np.ndarray, "m"], Float32[np.ndarray, "m 11"]]:
    """Pattern numbers and (a, b, scale, contrast, gloss, seed, glow) for the shader."""
    kinds = np.array([PATTERNS.index(m.pattern) for m in materials], np.int32)
    rows = [(*m.a, *m.b, m.scale, m.contrast, m.gloss, m.seed, m.glow) for m in materials]
    return kinds, np.array(rows, np.float32).reshape(-1, 11)
