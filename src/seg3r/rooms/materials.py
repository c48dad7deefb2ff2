"""What surfaces look like: a kind of solid texture, two colours and a scale. The textures are in kernels/shading.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seg3r.kernels import shading
from seg3r.rooms.names import COLORS

RGB = tuple[float, float, float]

KINDS = {
    "plain": shading.PLAIN, "wood": shading.WOOD, "fabric": shading.FABRIC, "plaster": shading.PLASTER,
    "tiles": shading.TILES, "carpet": shading.CARPET, "planks": shading.PLANKS, "poster": shading.POSTER,
    "rug": shading.RUG, "books": shading.BOOKS, "screen": shading.SCREEN, "sky": shading.SKY, "clock": shading.CLOCK,
    "leaf": shading.LEAF, "stripes": shading.STRIPES, "wicker": shading.WICKER, "keys": shading.KEYS,
    "glow": shading.GLOW, "paper": shading.PAPER,
}


@dataclass(frozen=True)
class Material:
    """One surface. Textures are functions of the point in the thing's frame."""

    kind: str
    a: RGB
    """sRGB, 0..255."""
    b: RGB
    """Second colour of the pattern."""
    scale: float = 1.0
    """Size of the pattern, metres where it repeats."""
    axis: int = 0
    """Along which it runs (wood grain, stripes)."""
    seed: int = 0
    gloss: float = 0.0
    """Strength of the highlight, 0..1."""

    def row(self) -> npt.NDArray[np.float32]:
        """As the shading kernel reads it; colours become linear (gamma 2)."""
        a, b = (np.asarray(self.a) / 255) ** 2, (np.asarray(self.b) / 255) ** 2
        return np.array([KINDS[self.kind], *a, *b, self.scale, self.axis, self.seed, self.gloss], np.float32)


def shaded(color: RGB, factor: float) -> RGB:
    """Darker (below 1) or lighter (above)."""
    r, g, b = (min(255.0, max(0.0, c * factor)) for c in color)
    return r, g, b


def jittered(name: str, rng: np.random.Generator) -> RGB:
    """A named colour, never quite the same twice but always fit for the name."""
    base = np.asarray(COLORS[name], np.float64)
    color = np.clip(base * rng.uniform(0.92, 1.08) + rng.normal(0, 4, 3), 6, 250)
    return float(color[0]), float(color[1]), float(color[2])
