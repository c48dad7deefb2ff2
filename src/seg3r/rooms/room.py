"""seed -> Room: the finished world as one mesh, and what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32

from seg3r.errors import InputError
from seg3r.rooms import furnish, things
from seg3r.rooms.classes import CLASS_IDS
from seg3r.rooms.layout import FloorPlan, PlacedFurniture, Relation
from seg3r.rooms.mesh import Mesh, Vec, about, slab
from seg3r.rooms.shape import Style, draw_style
from seg3r.rooms.texture import COLORS, Material, Pattern, darker, linear, shade_of

LAYOUT_STREAM, PATH_STREAM, NOISE_STREAM, SURFACE_STREAM, QUESTION_STREAM = range(5)
"""Second entry of every generator's seed: drawing more of one never changes another."""
MIN_OBJECTS, MAX_OBJECTS = 8, 20
"""Things in a room; doors, windows, curtains and the ceiling lamp come on top."""
OPENINGS = ("door", "window", "curtain")


@dataclass(frozen=True)
class ObjectInfo:
    """One instance."""

    id: int
    """From 1, its number in every map of instances."""
    name: str
    """Its class."""
    color: str
    material: str
    size: tuple[float, float, float]
    """Of its box in its own frame: width, depth, height, metres."""
    center: tuple[float, float, float]
    """Of its axis-aligned box in the room."""
    box: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Low and high corner in the room."""
    support: int
    """Id of what it stands on; 0 = the room itself."""
    relation: Relation
    """How it is held: on the floor, a wall, the ceiling, or on `support`."""
    attributes: tuple[str, ...]
    """What it is good for, as verbs: "sit", "drink" ..."""


@dataclass(frozen=True, eq=False)
class Room:
    """A furnished room: x, y along the walls from a corner, z up, metres."""

    seed: int
    kind: str
    """living, bedroom, office, dining or study."""
    size: tuple[float, float, float]
    objects: tuple[ObjectInfo, ...]
    vertices: Float32[np.ndarray, "v 3"]
    normals: Float32[np.ndarray, "v 3"]
    coords: Float32[np.ndarray, "v 3"]
    """Texture points."""
    faces: Int32[np.ndarray, "f 3"]
    face_instance: Int32[np.ndarray, "f"]
    """Id of an ObjectInfo, 0 = structure."""
    face_class: Int32[np.ndarray, "f"]
    """Place in CLASSES."""
    face_material: Int32[np.ndarray, "f"]
    materials: tuple[Material, ...]
    lamp: Float32[np.ndarray, "3"]
    """Centre of the ceiling light."""
    windows: tuple[Float[np.ndarray, "3 3"], ...]
    """Of each window its middle, half its extent along the wall, and the direction into the room."""
    window_heights: tuple[float, ...]
    daylight: float
    """Strength of the windows' light relative to the lamp's."""

    @property
    def names(self) -> dict[int, str]:
        """Instance id -> class name."""
        return {o.id: o.name for o in self.objects}


@lru_cache(maxsize=4)
def build_room(seed: int) -> Room:
    """The room of a seed. The same seed gives the same bytes.

    Raises:
        InputError: a negative seed.
    """
    if seed < 0:
        raise InputError(f"seed {seed}: the seeds of rooms count from 0")
    for attempt in range(20):
        rng = np.random.default_rng([seed, LAYOUT_STREAM, attempt])
        style = draw_style(rng)
        total = int(rng.integers(15, MAX_OBJECTS + 1))
        # Fuller rooms are larger; few are as large as they may be.
        sides = np.sort(rng.uniform(3.5, 4.3 + 0.09 * (total - 10), (2, 2)).min(0) + rng.uniform(0, 0.6, 2))
        x, y = rng.permutation(np.minimum(sides, 6.0))
        layout = FloorPlan((float(x), float(y), float(rng.uniform(2.4, 2.8))), rng)
        windows = _openings(layout, style)
        recipe = furnish.RECIPES[int(rng.integers(len(furnish.RECIPES)))]
        decorator = furnish.Decorator(layout, style, rng, total)
        recipe(decorator)
        furnish.fill_walls(decorator)
        furnish.flat_things(decorator)
        furnish.small_things(decorator)
        _curtains(layout, style, windows)
        if total - decorator.left >= MIN_OBJECTS:
            break
    return _merged(seed, recipe.__name__, layout, rng, windows)


def _openings(layout: FloorPlan, style: Style) -> list[int]:
    """A ceiling lamp, a door, one or two windows, and the space before them."""
    rng, (x, y, h) = layout.rng, layout.size
    layout.put(things.ceiling_lamp(rng, style), np.array([x / 2, y / 2, h - 0.1]), 0.0, -1, "ceiling")
    door_wall = int(rng.integers(4))
    leaf = things.door(rng, style)
    reach = layout.wall_length(door_wall) / 2 - 0.7
    along = float(rng.uniform(-reach, reach))
    layout.put(leaf, layout.on_wall(door_wall, along, 0.0, 0.0), layout.wall_yaw(door_wall), -1, "wall")
    corners = np.array([layout.on_wall(door_wall, along - 0.55, 0.0, 0.0),
                        layout.on_wall(door_wall, along + 0.55, 0.9, 2.1)])
    layout.kept_free.append(np.array([corners.min(0), corners.max(0)]))
    windows = []
    walls = [k for k in range(4) if k != door_wall]
    for k in rng.permutation(walls)[: 1 + int(rng.random() < 0.45)]:
        shape = things.window(rng, style)
        half = float(shape.bounds()[1][0])
        reach = max(0.05, layout.wall_length(int(k)) / 2 - half - 0.35)
        along, sill = float(rng.uniform(-reach, reach)), float(rng.uniform(0.85, 0.98))
        at = layout.put(shape, layout.on_wall(int(k), along, 0.0, sill), layout.wall_yaw(int(k)), -1, "wall")
        if at >= 0:
            windows.append(at)
            corners = np.array([layout.on_wall(int(k), along - half, 0.0, sill),
                                layout.on_wall(int(k), along + half, 0.35, sill + 1.0)])
            layout.kept_free.append(np.array([corners.min(0), corners.max(0)]))
    return windows


def _curtains(layout: FloorPlan, style: Style, windows: list[int]) -> None:
    """One at each side of some windows, where nothing stands."""
    rng = layout.rng
    for at in windows:
        if rng.random() < 0.4:
            continue
        host = layout.placed[at]
        _, high = host.shape.bounds()
        k = next(k for k in range(4) if abs(layout.wall_yaw(k) - host.yaw) < 1e-6)
        design = int(rng.integers(2**31))
        R = about(2, host.yaw)
        for side in (-1, 1):
            bottom = 0.04 if rng.random() < 0.6 else host.position[2] - 0.12
            top = min(host.position[2] + high[2] + 0.12, layout.size[2] - 0.03)
            shape = things.curtain(np.random.default_rng(design), style, 0.36, float(top - bottom))
            spot = host.position + R @ (side * (high[0] + 0.08), 0.0, 0.0)
            spot[2] = bottom
            layout.put(shape, spot, layout.wall_yaw(k), -1, "wall", (at,), keep_free=False)


def _merged(seed: int, kind: str, layout: FloorPlan, rng: np.random.Generator, windows: list[int]) -> Room:
    parts: list[tuple[Mesh, int, int]] = [
        (part, 0, CLASS_IDS[name]) for name, part in _shell(layout.size, rng)
    ]
    objects = []
    for k, p in enumerate(layout.placed):
        R = about(2, p.yaw)
        class_id = CLASS_IDS[p.shape.name]
        parts += [(part.turned(R).moved(p.position), k + 1, class_id) for part in p.shape.parts]
        objects.append(_info(k + 1, p))
    index: dict[Material, int] = {}
    for part, _, _ in parts:
        index.setdefault(part.material, len(index))
    first = np.cumsum([0, *(len(part.vertices) for part, _, _ in parts)])
    counts = [len(part.faces) for part, _, _ in parts]
    lamp = layout.placed[0].position
    return Room(
        seed=seed, kind=kind, size=layout.size, objects=tuple(objects),
        vertices=np.concatenate([p.vertices for p, _, _ in parts]).astype(np.float32),
        normals=np.concatenate([p.normals for p, _, _ in parts]).astype(np.float32),
        coords=np.concatenate([p.coords for p, _, _ in parts]).astype(np.float32),
        faces=np.concatenate([p.faces + a for (p, _, _), a in zip(parts, first, strict=False)]).astype(np.int32),
        face_instance=np.repeat([i for _, i, _ in parts], counts).astype(np.int32),
        face_class=np.repeat([c for _, _, c in parts], counts).astype(np.int32),
        face_material=np.repeat([index[p.material] for p, _, _ in parts], counts).astype(np.int32),
        materials=tuple(index),
        lamp=np.array([lamp[0], lamp[1], lamp[2] - 0.03], np.float32),
        windows=tuple(_pane(layout.placed[k]) for k in windows),
        window_heights=tuple(float(layout.placed[k].shape.bounds()[1][2]) for k in windows),
        daylight=float(rng.uniform(0.35, 1.6)),
    )


def _info(number: int, p: PlacedFurniture) -> ObjectInfo:
    low, high = p.low(), p.high()
    a, b = p.shape.bounds()
    return ObjectInfo(
        number, p.shape.name, p.shape.color, p.shape.material, _triple(b - a), _triple((low + high) / 2),
        (_triple(low), _triple(high)), p.support + 1, p.relation, p.shape.attributes,
    )


def _triple(v: Float64[np.ndarray, "3"]) -> tuple[float, float, float]:
    x, y, z = (round(float(c), 4) for c in v)
    return x, y, z


def _pane(window: PlacedFurniture) -> Float64[np.ndarray, "3 3"]:
    R = about(2, window.yaw)
    _, high = window.shape.bounds()
    middle = window.position + R @ (0.0, -0.05, high[2] / 2)
    return np.stack((middle, R @ (high[0] * 0.85, 0.0, 0.0), R @ (0.0, -1.0, 0.0)))


# ---- floor, walls, ceiling -------------------------------------------------------------------------------------------


def _shell(size: tuple[float, float, float], rng: np.random.Generator) -> list[tuple[str, Mesh]]:
    """Quads that face inwards, texture points in metres; a skirting board along the walls."""
    x, y, h = size
    floor = _floor(rng)
    paint = _wall_paint(rng)
    walls = [paint] * 4
    if rng.random() < 0.4:
        walls[int(rng.integers(4))] = _accent_wall(rng)
    white = shade_of("white", rng, 0.03)
    ceiling = Material("plaster", white, darker(white, 0.9), contrast=0.5, seed=float(rng.random()))
    board = Material("plain", white, darker(white, 0.9), gloss=0.1) if rng.random() < 0.6 else Material(
        "wood", (0.30, 0.18, 0.09), (0.16, 0.09, 0.05), seed=0.3)
    corners = [(0, y), (x, y), (x, 0), (0, 0)]
    parts = [("floor", _quad(((0, 0, 0), (x, 0, 0), (x, y, 0), (0, y, 0)), floor, bool(rng.random() < 0.5))),
             ("ceiling", _quad(((0, y, h), (x, y, h), (x, 0, h), (0, 0, h)), ceiling))]
    for k in range(4):
        (ax, ay), (bx, by) = corners[k], corners[(k + 1) % 4]
        parts.append(("wall", _quad(((ax, ay, 0), (bx, by, 0), (bx, by, h), (ax, ay, h)), walls[k])))
    t, high = 0.012, 0.07
    for low, up in (((0, y - t, 0), (x, y, high)), ((x - t, 0, 0), (x, y, high)), ((0, 0, 0), (x, t, high)),
                    ((0, 0, 0), (t, y, high))):
        parts.append(("wall", slab(low, up, board)))
    return parts


def _quad(corners: Sequence[Vec], material: Material, across: bool = False) -> Mesh:
    points = np.array(corners, np.float64)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    normal /= np.linalg.norm(normal)
    coords = points[:, [1, 0, 2]] if across else points.copy()
    return Mesh(points, np.tile(normal, (4, 1)), coords, np.array([[0, 1, 2], [0, 2, 3]]), material)


def _floor(rng: np.random.Generator) -> Material:
    seed = float(rng.random())
    pick = rng.random()
    if pick < 0.5:
        woods = ((0.72, 0.55, 0.36), (0.52, 0.36, 0.23), (0.62, 0.50, 0.38), (0.45, 0.28, 0.18), (0.70, 0.64, 0.56))
        base = linear(woods[int(rng.integers(len(woods)))])
        return Material("planks", base, darker(base, 0.55), float(rng.uniform(0.09, 0.19)), 0.8, 0.12, seed)
    if pick < 0.75:
        color = ("grey", "beige", "blue", "green", "brown", "grey")[int(rng.integers(6))]
        tint, grey = shade_of(color, rng, 0.1), linear((0.5, 0.5, 0.5))
        base = (0.5 * (tint[0] + grey[0]), 0.5 * (tint[1] + grey[1]), 0.5 * (tint[2] + grey[2]))
        return Material("carpet", base, darker(base, 0.75), 1.0, 0.7, 0.0, seed)
    color = ("white", "grey", "beige", "brown")[int(rng.integers(4))]
    base = darker(shade_of(color, rng, 0.05), 0.8)
    return Material("tiles", base, darker(base, 0.45), float(rng.uniform(0.28, 0.5)), 0.9, 0.2, seed)


def _wall_paint(rng: np.random.Generator) -> Material:
    tints = ((0.90, 0.88, 0.83), (0.86, 0.86, 0.86), (0.88, 0.83, 0.72), (0.80, 0.85, 0.86), (0.83, 0.87, 0.80),
             (0.90, 0.84, 0.80), (0.78, 0.77, 0.74))
    base = linear(tints[int(rng.integers(len(tints)))])
    return Material("plaster", base, darker(base, 0.85), contrast=0.6, seed=float(rng.random()))


def _accent_wall(rng: np.random.Generator) -> Material:
    seed = float(rng.random())
    names = list(COLORS)
    color = names[int(rng.integers(len(names)))]
    base = shade_of(color, rng)
    soft = linear([0.5 * c + 0.42 for c in COLORS[color]])
    pick = rng.random()
    if pick < 0.45:
        return Material("plaster", soft, darker(soft, 0.8), contrast=0.6, seed=seed)
    if pick < 0.8:
        pattern: Pattern = "stripes"
        return Material(pattern, linear((0.86, 0.84, 0.79)), soft, float(rng.uniform(0.12, 0.3)), 0.8, seed=seed)
    brick = darker(base, 0.8) if color in ("red", "brown", "white", "beige") else linear((0.55, 0.30, 0.22))
    return Material("brick", brick, linear((0.62, 0.60, 0.56)), 0.075, 0.9, seed=seed)
