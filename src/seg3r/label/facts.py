"""The geometry of a map in words: what a language model cannot see in a crop.

SceneMap -> how large each thing is, what it stands on, what it holds, what is beside it. Relations as the rooms'
questions mean them: on, next to, nearest of its kind, largest of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from seg3r.scene import SceneMap

ON_M = 0.10
"""What stands on something ends at most so far above it ..."""
SUNK_M = 0.15
"""... and reaches at most so far below its top: depth is noisy where two things meet."""
BESIDE_M = 0.35
"""Next to each other: boxes no farther apart than this, on the same support."""
FLOOR_M = 0.15
"""What comes this near to the lowest points of the map stands on the floor."""
CLEARLY = 1.15
"""Nearest and largest must win by this factor."""
BORDER_M = 0.04
"""What stands in a shelf may look out of it so far."""
LEAST_POINTS = 8
"""Points of a support under what stands on it."""
MANY = 4
"""Things named in one list at most."""

COLORS = {
    "white": (224, 222, 217), "black": (26, 26, 28), "grey": (128, 130, 133), "red": (184, 36, 33),
    "green": (56, 117, 61), "blue": (43, 82, 158), "yellow": (230, 189, 51), "orange": (224, 117, 36),
    "brown": (107, 69, 43), "purple": (107, 64, 133), "pink": (224, 143, 158), "beige": (201, 176, 138),
    "turquoise": (61, 158, 158),
}
"""Names of colours and what they look like under even light (sRGB)."""


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
    axes = upright_axes(scene)
    world = scene.points.numpy().astype(np.float64) @ axes.T
    colors = scene.colors.numpy()
    floor = float(np.percentile(world[:, 2], 2)) if len(world) else 0.0
    owned = [scene.points_of(i)[0].numpy() for i in scene.ids.tolist()]
    clouds = [world[own] if len(own) else np.zeros((1, 3)) for own in owned]
    low = np.array([np.percentile(cloud, 2, axis=0) for cloud in clouds]).reshape(-1, 3)
    high = np.array([np.percentile(cloud, 98, axis=0) for cloud in clouds]).reshape(-1, 3)
    support = [_support(i, clouds, low, high) for i in range(len(clouds))]
    place = ["on" if s >= 0 else "floor" if low[i, 2] - floor < FLOOR_M else "wall" for i, s in enumerate(support)]
    things = []
    for i, own in enumerate(owned):
        gaps = np.maximum(0, np.maximum(low[i, :2] - high[:, :2], low[:, :2] - high[i, :2]))
        near = np.hypot(gaps[:, 0], gaps[:, 1]) <= BESIDE_M
        beside = tuple(
            j for j in np.flatnonzero(near).tolist()
            if j != i and place[j] == place[i] != "wall" and support[j] == support[i]
        )
        size = high[i] - low[i]
        things.append(Thing(
            (float(size[0]), float(size[1]), float(size[2])),
            color_name(colors[own].mean(0)) if len(own) else "grey", place[i], support[i],
            tuple(j for j, s in enumerate(support) if s == i), beside,
            tuple(float(x) for x in (low[i] + high[i]) / 2),  # type: ignore[arg-type]
        ))
    return things


def _support(i: int, clouds: Sequence[Float64[np.ndarray, "..."]], low: np.ndarray, high: np.ndarray) -> int:
    """The instance with most points just under instance i, or -1."""
    best, most = -1, LEAST_POINTS - 1
    for j, cloud in enumerate(clouds):
        if j == i or (low[i, :2] > high[j, :2]).any() or (low[j, :2] > high[i, :2]).any():
            continue
        within = (low[i] >= low[j] - BORDER_M).all() and (high[i] <= high[j] + BORDER_M).all()  # a shelf's lowest board
        if high[j, 2] < low[i, 2] - ON_M or (low[j, 2] >= low[i, 2] - ON_M / 2 and not within):
            continue
        over = (cloud[:, :2] >= low[i, :2] - 0.03).all(1) & (cloud[:, :2] <= high[i, :2] + 0.03).all(1)
        under = int((over & (cloud[:, 2] <= low[i, 2] + ON_M) & (cloud[:, 2] >= low[i, 2] - SUNK_M)).sum())
        if under > most:
            best, most = j, under
    return best


def tell(things: Sequence[Thing], names: Sequence[str | None]) -> list[str]:
    """The facts of each thing in words, at most some sixty.

    Args:
        names: of each; None = not known, told as "thing".
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


def upright_axes(scene: SceneMap) -> Float64[np.ndarray, "3 3"]:
    """Rows: two horizontal axes and up, in world, from how the camera was held: its x axis stays level while it turns.

    The horizontal ones follow the widest spread of the points.
    """
    poses = np.array([k.camera.T_world_cam.numpy() for k in scene.keyframes]).reshape(-1, 4, 4)
    if not len(poses):
        return np.eye(3)
    across, down = poses[:, :3, 0], poses[:, :3, 1].mean(0)
    # Where it never turned, any axis across x is as level: then the image's own up decides.
    level = across.T @ across / len(across) - 0.1 * np.outer(down, down)
    up = np.linalg.eigh(level)[1][:, 0]
    up = -up if up @ down > 0 else up
    points = scene.points.numpy().astype(np.float64)
    flat = points - points.mean(0) if len(points) else np.eye(3)
    flat = flat - np.outer(flat @ up, up)
    ahead = np.linalg.eigh(flat.T @ flat)[1][:, 2]
    ahead -= (ahead @ up) * up
    ahead /= np.linalg.norm(ahead)
    return np.stack((ahead, np.cross(up, ahead), up))


def color_name(rgb: Float[np.ndarray, "3"]) -> str:
    """What a person would call a colour: the nearest name by hue and saturation first, lightness after."""
    names = list(COLORS)
    table = np.array([_opponent(np.array(c, np.float64)) for c in COLORS.values()])
    off = (table - _opponent(rgb.astype(np.float64))) * (0.5, 1.0, 1.0)
    return names[int((off**2).sum(1).argmin())]


def _opponent(rgb: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
    """Lightness, and two chroma axes that shading moves little (red - green and yellow - blue over the sum)."""
    r, g, b = (rgb / 255) ** 0.8
    total = max(r + g + b, 0.15)
    return np.array([(r + g + b) / 3, 2.0 * (r - g) / total, 1.0 * (r + g - 2 * b) / total])
