"""The geometry of a map in words: what a language model cannot see in a crop.

SceneMap -> how large each thing is, what it stands on, what it holds, what is beside it. Relations as the rooms'
questions mean them: on, next to, nearest of its kind, largest of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from seg3r.scene import SceneMap
from seg3r.scene.upright import upright_axes

ON_M = 0.10
"""What stands on something ends at most so far above it ..."""
SUNK_M = 0.15
"""... and reaches at most so far below its top: depth is noisy where two things meet."""
BESIDE_M = 0.35
"""Next to each other: boxes no farther apart than this, on the same support."""
FLOOR_M = 0.15
"""What comes this near to the lowest points of the map stands on the floor, and what ends there is floor itself."""
HIDDEN_M, DEEP_M = 0.95, 0.3
"""What ends lower and is so deep stands on the floor too: its feet were not seen. Things on walls are flat."""
LEVEL_M, LEVEL_SHARE = 0.05, 0.4
"""Of the points under a thing, how many lie at one height where they are of a level top and not of a wall."""
WIDE_SHARE = 0.5
"""What carries a thing takes at least this share of its area."""
CLEARLY = 1.15
"""Nearest and largest must win by this factor."""
BORDER_M = 0.04
"""What stands in a shelf may stick out of it so far."""
LEAST_POINTS = 8
"""Points of a support under what stands on it."""
MEDIAN_LIGHT, MOST_GAIN = 180.0, 1.5
"""Of the points of a room (sRGB); how far its exposure is put right at most."""
LIGHTNESS = 0.8
"""Weight of lightness beside chroma in telling colours."""
MANY = 4
"""Things named in one list at most."""

COLORS = {
    "white": (224, 222, 217), "black": (26, 26, 28), "grey": (128, 130, 133), "red": (184, 36, 33),
    "green": (56, 117, 61), "blue": (43, 82, 158), "yellow": (230, 189, 51), "orange": (224, 117, 36),
    "brown": (107, 69, 43), "purple": (107, 64, 133), "pink": (224, 143, 158), "beige": (201, 176, 138),
    "turquoise": (61, 158, 158),
}
"""Names of colours and their sRGB under even light."""


@dataclass(frozen=True)
class Thing:
    """One instance among the others; they are named by their place in the map's list."""

    size_m: tuple[float, float, float]
    """Width, depth, height."""
    color: str
    place: str
    """floor, on (something) or wall (or ceiling: it touches nothing below)."""
    support: int
    """What it stands on; -1 = no instance."""
    holds: tuple[int, ...]
    beside: tuple[int, ...]
    center: tuple[float, float, float]


def survey(scene: SceneMap) -> list[Thing]:
    """Every instance of a map, in the order of its ids. Costs what the instances' points cost."""
    world = scene.points.numpy().astype(np.float64) @ upright_axes(scene).T
    colors = scene.colors.numpy().astype(np.float64)
    if len(world):
        world[:, 2] -= np.percentile(world[:, 2], 2)  # the floor is at 0
        colors = (colors * exposure(colors)).clip(0, 255)
    owned = [scene.points_of(i)[0].numpy() for i in scene.ids.tolist()]
    clouds = [world[rows] if len(rows) else np.zeros((1, 3)) for rows in owned]
    low = np.array([np.percentile(cloud, 2, axis=0) for cloud in clouds]).reshape(-1, 3)
    high = np.array([np.percentile(cloud, 98, axis=0) for cloud in clouds]).reshape(-1, 3)
    support = [_support(i, clouds, low, high) if len(rows) else -1 for i, rows in enumerate(owned)]
    place = [
        "on" if s >= 0 else "floor" if len(rows) and _stands(low[i], high[i]) else "wall"
        for i, (s, rows) in enumerate(zip(support, owned, strict=True))
    ]
    things = []
    for i, rows in enumerate(owned):
        gaps = np.maximum(0, np.maximum(low[i, :2] - high[:, :2], low[:, :2] - high[i, :2]))
        near = np.hypot(gaps[:, 0], gaps[:, 1]) <= BESIDE_M
        beside = tuple(
            j for j in np.flatnonzero(near).tolist()
            if j != i and place[j] == place[i] != "wall" and support[j] == support[i]
        )
        size = high[i] - low[i]
        things.append(Thing(
            (float(size[0]), float(size[1]), float(size[2])),
            color_name(colors[rows]) if len(rows) else "grey", place[i], support[i],
            tuple(j for j, s in enumerate(support) if s == i), beside,
            tuple(float(x) for x in (low[i] + high[i]) / 2),  # type: ignore[arg-type]
        ))
    return things


def _support(i: int, clouds: Sequence[Float64[np.ndarray, "..."]], low: np.ndarray, high: np.ndarray) -> int:
    """The instance with most points of a level top just under instance i, or -1."""
    best, most = -1, LEAST_POINTS - 1
    area = np.prod(high[:, :2] - low[:, :2], axis=1)
    for j, cloud in enumerate(clouds):
        apart = (low[i, :2] > high[j, :2]).any() or (low[j, :2] > high[i, :2]).any()
        if j == i or apart or area[j] < WIDE_SHARE * area[i] or high[j, 2] < max(FLOOR_M, low[i, 2] - ON_M):
            continue
        within = (low[i] >= low[j] - BORDER_M).all() and (high[i] <= high[j] + BORDER_M).all()  # a shelf's lowest board
        under_it = low[j, 2] < low[i, 2] - ON_M / 2 or high[j, 2] < low[i, 2] + ON_M
        if not within and (low[i, 2] < FLOOR_M or not under_it):
            continue
        over = (cloud[:, :2] >= low[i, :2] - 0.03).all(1) & (cloud[:, :2] <= high[i, :2] + 0.03).all(1)
        heights = np.sort(cloud[over & (cloud[:, 2] <= low[i, 2] + ON_M) & (cloud[:, 2] >= low[i, 2] - SUNK_M), 2])
        if len(heights) > most:
            level = (np.searchsorted(heights, heights + LEVEL_M, side="right") - np.arange(len(heights))).max()
            if level >= LEVEL_SHARE * len(heights):
                best, most = j, len(heights)
    return best


def _stands(low: Float64[np.ndarray, "3"], high: Float64[np.ndarray, "3"]) -> bool:
    """Whether a thing that no other carries stands on the floor, which is at height 0."""
    return bool(low[2] < FLOOR_M or (low[2] < HIDDEN_M and (high - low)[:2].min() > DEEP_M))


def tell(things: Sequence[Thing], names: Sequence[str | None]) -> list[str]:
    """The facts of each thing in words, at most some sixty.

    Args:
        names: of each; None = not known, called "thing".
    """
    called = [name or "thing" for name in names]
    full = [f"{thing.color} {name}" for thing, name in zip(things, called, strict=True)]
    centers = np.array([thing.center for thing in things]).reshape(-1, 3)
    apart = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    volume = np.array([np.prod(np.maximum(thing.size_m, 0.01)) for thing in things])
    same = [np.array([k for k, other in enumerate(called) if other == name]) for name in called]
    return [_sentence(i, thing, things, called, full, same[i], apart, volume) for i, thing in enumerate(things)]


def _sentence(
    i: int, thing: Thing, things: Sequence[Thing], called: Sequence[str], full: Sequence[str],
    same: np.ndarray, apart: np.ndarray, volume: np.ndarray,
) -> str:
    w, d, h = (round(100 * x) for x in thing.size_m)
    parts = [f"{full[i]}, {max(w, d)} x {min(w, d)} x {h} cm"]
    parts.append(f"on the {full[thing.support]}" if thing.support >= 0 else
                 "on the floor" if thing.place == "floor" else "on the wall")
    if thing.holds:
        parts.append("holds " + _listed(full, thing.holds))
    if thing.beside:
        parts.append("next to " + _listed(full, sorted(thing.beside, key=lambda j: float(apart[i, j]))))
    if len(same) > 1 and called[i] != "thing":
        closest = []
        for j in np.argsort(apart[i]).tolist():
            if called[j] == called[i]:
                continue
            order = np.sort(apart[j, same])
            if apart[j, i] == order[0] and order[1] > CLEARLY * order[0]:
                closest.append(j)
        if closest:
            parts.append(f"nearest {called[i]} to " + _listed(full, closest))
        rank = np.sort(volume[same])[::-1]
        if volume[i] == rank[0] and rank[0] > CLEARLY * rank[1]:
            parts.append(f"largest {called[i]}")
    return "; ".join(parts) + "."


def _listed(full: Sequence[str], rows: Sequence[int]) -> str:
    return ", ".join(full[j] for j in rows[:MANY])


def exposure(colors: Float64[np.ndarray, "n 3"]) -> float:
    """What brings the median light of a room to where it is under even light: most of a room is light walls."""
    return float(np.clip(MEDIAN_LIGHT / max(float(np.median(colors.mean(1))), 1.0), 1 / MOST_GAIN, MOST_GAIN))


def color_name(colors: Float64[np.ndarray, "n 3"]) -> str:
    """What a person would call points of these colours: each goes to the nearest name, most in hue and saturation, and
    the name with most points wins."""
    table = np.array([COLORS[name] for name in COLORS], np.float64)
    off = (_opponent(colors)[:, None] - _opponent(table)) * (LIGHTNESS, 1.0, 1.0)
    nearest = (off**2).sum(2).argmin(1)
    return list(COLORS)[int(np.bincount(nearest).argmax())]


def _opponent(colors: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    """Lightness, and two chroma axes that shading moves little (red - green and yellow - blue over the sum)."""
    r, g, b = ((colors / 255) ** 0.8).T
    total = np.maximum(r + g + b, 0.15)
    return np.stack(((r + g + b) / 3, 2.0 * (r - g) / total, 1.0 * (r + g - 2 * b) / total), axis=1)
