"""What a furniture maker returns: parts, and where things can stand on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from seg3r.rooms.mesh import Mesh
from seg3r.rooms.texture import COLORS, RGB, Material, darker, linear, shade_of


@dataclass(frozen=True)
class Surface:
    """A level rectangle that things can stand on, in the object's frame."""

    low: tuple[float, float]
    high: tuple[float, float]
    z: float
    headroom: float = 2.0


@dataclass(frozen=True, eq=False)
class Shape:
    """One thing in its own frame: z up, stands on z = 0 about the origin, faces -y (its back is at +y)."""

    name: str
    """Its class."""
    parts: Sequence[Mesh]
    color: str
    """Name of its main colour."""
    material: str
    """Of its main part, as a person would say it."""
    surfaces: Sequence[Surface] = ()
    attributes: tuple[str, ...] = ()

    def bounds(self) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
        """Low and high corner."""
        points = np.concatenate([p.vertices for p in self.parts])
        return points.min(0), points.max(0)


@dataclass(frozen=True)
class Style:
    """What the furniture of one room has in common."""

    wood: Material
    wood_color: str
    accents: tuple[str, ...]
    """Colours that fabrics and plastics are drawn from."""

    def accent(self, rng: np.random.Generator) -> str:
        """One of the accents."""
        return self.accents[int(rng.integers(len(self.accents)))]


WOODS: dict[str, tuple[str, RGB, RGB]] = {
    "oak": ("beige", (0.72, 0.55, 0.36), (0.55, 0.38, 0.22)),
    "walnut": ("brown", (0.42, 0.27, 0.17), (0.26, 0.16, 0.10)),
    "pine": ("beige", (0.83, 0.66, 0.42), (0.68, 0.47, 0.26)),
    "cherry": ("brown", (0.56, 0.30, 0.18), (0.38, 0.18, 0.10)),
    "ash": ("grey", (0.62, 0.58, 0.53), (0.48, 0.44, 0.40)),
}
"""Name, then how a person calls its colour, early and late wood in sRGB."""


def wood(kind: str, rng: np.random.Generator) -> Material:
    """One of WOODS."""
    _, light, dark = WOODS[kind]
    tint = 1 + rng.normal(0, 0.05)
    a, b = darker(linear(light), tint), darker(linear(dark), tint)
    return Material("wood", a, b, 1.0, 0.85, 0.10, float(rng.random()))


def draw_style(rng: np.random.Generator) -> Style:
    """A room's wood and three to five accent colours."""
    kinds = list(WOODS)
    kind = kinds[int(rng.integers(len(kinds)))]
    vivid = [c for c in COLORS if c not in ("brown",)]
    names = rng.permutation(vivid)[: int(rng.integers(4, 7))]
    return Style(wood(kind, rng), WOODS[kind][0], tuple(str(n) for n in names))


def fabric(name: str, rng: np.random.Generator, patterned: float = 0.3) -> Material:
    """Woven, or with the given chance striped, checked or dotted."""
    a = shade_of(name, rng)
    seed = float(rng.random())
    if rng.random() < patterned:
        other = [c for c in COLORS if c != name]
        b = shade_of(other[int(rng.integers(len(other)))], rng)
        pattern = ("stripes", "checks", "dots")[int(rng.integers(3))]
        if pattern == "dots":
            return Material("dots", a, b, float(rng.uniform(0.05, 0.10)), 0.8, 0.0, seed)
        if pattern == "stripes":
            return Material("stripes", a, b, float(rng.uniform(0.05, 0.12)), 0.7, 0.0, seed)
        return Material("checks", a, b, float(rng.uniform(0.06, 0.14)), 0.7, 0.0, seed)
    return Material("weave", a, darker(a, 0.62), float(rng.uniform(0.006, 0.012)), 0.8, 0.0, seed)


def plastic(name: str, rng: np.random.Generator, gloss: float = 0.25) -> Material:
    """Even and somewhat shiny."""
    a = shade_of(name, rng)
    return Material("plain", a, darker(a, 0.8), 1.0, 0.5, gloss, float(rng.random()))


def paint(name: str, rng: np.random.Generator) -> Material:
    """Painted wood."""
    a = shade_of(name, rng)
    return Material("plain", a, darker(a, 0.75), 1.0, 0.6, 0.08, float(rng.random()))


def metal(rng: np.random.Generator, dark: bool = False) -> Material:
    """Chrome or blackened steel."""
    grey = linear((0.16, 0.16, 0.17)) if dark else linear((0.62, 0.63, 0.65))
    return Material("plain", grey, darker(grey, 0.7), 1.0, 0.6, 0.5, float(rng.random()))
