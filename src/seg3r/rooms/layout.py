"""Where things stand: against walls, at tables, on each other, on walls; nothing floats, nothing collides.

Occupied space is kept as the boxes of all parts, so that a chair may be pushed under its table but not into its leg.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float64

from seg3r.rooms.mesh import about
from seg3r.rooms.shape import Shape, Surface

Relation = Literal["floor", "wall", "ceiling", "on"]
TRIES = 40
SUNK_M = 0.006
"""The foot of a slanting leg may reach this far into the floor."""
CLEARANCE_M = 0.004
"""Between boxes of parts: touching is not colliding."""


@dataclass(frozen=True, eq=False)
class PlacedFurniture:
    """A shape in the room."""

    shape: Shape
    position: Float64[np.ndarray, "3"]
    """Of the shape's origin, metres."""
    yaw: float
    support: int
    """Place in the list of what it stands on; -1 = the room itself."""
    relation: Relation
    boxes: Float64[np.ndarray, "parts 2 3"]
    """Low and high corner of every part, in the room."""

    def low(self) -> Float64[np.ndarray, "3"]:
        return np.asarray(self.boxes[:, 0].min(0))

    def high(self) -> Float64[np.ndarray, "3"]:
        return np.asarray(self.boxes[:, 1].max(0))


def part_boxes(
    shape: Shape, position: Float64[np.ndarray, "3"], yaw: float
) -> Float64[np.ndarray, "parts 2 3"]:
    """Low and high corner of every part, in the room."""
    R = about(2, yaw)
    boxes = np.empty((len(shape.parts), 2, 3))
    for k, part in enumerate(shape.parts):
        points = part.vertices @ R.T
        boxes[k] = points.min(0), points.max(0)
    boxes += position
    return boxes


@dataclass(eq=False)
class FloorPlan:
    """A room being furnished. All `add...` return the place in `placed`, or -1 where it does not fit."""

    size: tuple[float, float, float]
    rng: np.random.Generator
    placed: list[PlacedFurniture] = field(default_factory=list)
    kept_free: list[Float64[np.ndarray, "2 3"]] = field(default_factory=list)
    """Boxes that furniture may not enter: before doors and windows."""

    # ---- the walls: number k has its things facing into the room at yaw `wall_yaw(k)` --------------------------------

    def wall_yaw(self, k: int) -> float:
        return (0.0, -np.pi / 2, np.pi, np.pi / 2)[k]

    def wall_length(self, k: int) -> float:
        return self.size[0] if k % 2 == 0 else self.size[1]

    def on_wall(self, k: int, along: float, off: float, z: float) -> Float64[np.ndarray, "3"]:
        """A point `along` the wall from its middle, `off` it, at height z."""
        R = about(2, self.wall_yaw(k))
        middle = np.array([self.size[0] / 2, self.size[1] / 2, 0.0])
        depth = (self.size[1] if k % 2 == 0 else self.size[0]) / 2
        return np.asarray(middle + R @ (along, depth - off, z))

    # ---- placing -----------------------------------------------------------------------------------------------------

    def fits(
        self, boxes: Float64[np.ndarray, "parts 2 3"], but: Sequence[int] = (), keep_free: bool = True,
        margin: float = CLEARANCE_M,
    ) -> bool:
        """Inside the room, clear of everything but `but` and of the space kept free."""
        low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
        if (low < (-1e-6, -1e-6, -SUNK_M)).any() or (high > np.array(self.size) + 1e-6).any():
            return False
        if keep_free and any(_overlap(boxes, zone[None], 0.0) for zone in self.kept_free):
            return False
        return not any(
            _overlap(boxes, other.boxes, margin) for k, other in enumerate(self.placed)
            if k not in but and other.shape.name != "rug"
        )

    def put(self, shape: Shape, position: Float64[np.ndarray, "3"], yaw: float, support: int = -1,
            relation: Relation = "floor", but: Sequence[int] = (), keep_free: bool = True,
            margin: float = CLEARANCE_M) -> int:
        """Here or not at all."""
        position = np.asarray(position, np.float64)
        boxes = part_boxes(shape, position, yaw)
        if not self.fits(boxes, but, keep_free, margin):
            return -1
        self.placed.append(PlacedFurniture(shape, position, yaw, support, relation, boxes))
        return len(self.placed) - 1

    def against_wall(self, shape: Shape, walls: Sequence[int] | None = None, corner: bool = False,
                     gap: float = 0.012, aside: float = 0.06) -> int:
        """Its back to a wall (skirting board left free); `corner`: at an end of the wall."""
        low, high = shape.bounds()
        for _ in range(TRIES):
            k = int(self.rng.choice(walls if walls is not None else (0, 1, 2, 3)))
            reach = self.wall_length(k) / 2
            a, b = -reach - low[0] + 0.03, reach - high[0] - 0.03
            if a > b:
                continue
            along = float(self.rng.uniform(a, b))
            if corner:
                along = a + 0.02 if self.rng.random() < 0.5 else b - 0.02
            at = self.put(shape, self.on_wall(k, along, high[1] + gap + 0.012, 0.0), self.wall_yaw(k), margin=aside)
            if at >= 0:
                return at
        return -1

    def in_open(self, shape: Shape, near: tuple[float, float] | None = None, spread: float = 0.5,
                turn: float | None = None, margin: float = 0.05) -> int:
        """Free on the floor, near a point; `turn`: its yaw (None: any)."""
        x, y, _ = self.size
        for _ in range(TRIES):
            if near is None:
                spot = self.rng.uniform((0.3, 0.3), (x - 0.3, y - 0.3))
            else:
                spot = np.array(near) + self.rng.normal(0, spread, 2)
            yaw = float(self.rng.uniform(-np.pi, np.pi)) if turn is None else turn
            at = self.put(shape, np.array([spot[0], spot[1], 0.0]), yaw, margin=margin)
            if at >= 0:
                return at
        return -1

    def before(self, shape: Shape, whom: int, distance: float, across: float = 0.0, turn: float = 0.0,
               margin: float = CLEARANCE_M) -> int:
        """In front of something already there, `distance` between origins; `turn` relative to it."""
        host = self.placed[whom]
        R = about(2, host.yaw)
        return self.put(shape, host.position + R @ (across, -distance, 0.0), host.yaw + turn, margin=margin)

    def on(self, shape: Shape, whom: int, surface: Surface | None = None, turn: float | None = 0.0,
           spot: tuple[float, float] | None = None) -> int:
        """On one of the host's surfaces; `turn` relative to the host (None: any), `spot` -1..1 on the surface."""
        host = self.placed[whom]
        R = about(2, host.yaw)
        for _ in range(TRIES):
            level = surface or host.shape.surfaces[int(self.rng.integers(len(host.shape.surfaces)))]
            yaw = float(self.rng.uniform(-np.pi, np.pi)) if turn is None else turn
            boxes = part_boxes(shape, np.zeros(3), yaw)
            low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
            a, b = np.array(level.low) - low[:2], np.array(level.high) - high[:2]
            if (a > b).any() or high[2] > level.headroom:
                continue
            at = self.rng.uniform(a, b) if spot is None else (a + b) / 2 + (b - a) / 2 * np.array(spot)
            done = self.put(shape, host.position + R @ (at[0], at[1], level.z), host.yaw + yaw, whom, "on", (whom,),
                            keep_free=False)
            if done >= 0 or spot is not None:
                return done
        return -1

    def hang(self, shape: Shape, low_z: float, high_z: float, walls: Sequence[int] = (0, 1, 2, 3)) -> int:
        """On a free place of a wall, its lower edge between two heights."""
        low, high = shape.bounds()
        for _ in range(TRIES):
            k = int(self.rng.choice(walls))
            reach = self.wall_length(k) / 2 - (high[0] - low[0]) / 2 - 0.1
            if reach <= 0:
                continue
            along, z = float(self.rng.uniform(-reach, reach)), float(self.rng.uniform(low_z, high_z))
            spot = self.on_wall(k, along, 0.001, z)
            at = self.put(shape, spot, self.wall_yaw(k), -1, "wall", keep_free=False, margin=0.05)
            if at >= 0:
                return at
        return -1


def _overlap(a: Float64[np.ndarray, "m 2 3"], b: Float64[np.ndarray, "k 2 3"], margin: float) -> bool:
    """Whether any box of a comes within `margin` of any box of b, sideways; above each other they may touch."""
    grow = np.array([margin, margin, -0.002])
    low = np.maximum(a[:, None, 0], b[None, :, 0] - grow)
    high = np.minimum(a[:, None, 1], b[None, :, 1] + grow)
    return bool((low < high).all(-1).any())
