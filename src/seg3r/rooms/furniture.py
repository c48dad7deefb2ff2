"""Furniture: classes made of parts. Each maker draws its own proportions and returns a Shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from seg3r.rooms.mesh import Mesh, about, blade, box, lathe, pillow, slab, tube
from seg3r.rooms.shape import Shape, Style, Surface, fabric, metal, paint, plastic
from seg3r.rooms.texture import Material, darker

Rng = np.random.Generator
Maker = Callable[[Rng, Style], Shape]


def _wooden(rng: Rng, style: Style, painted: float = 0.3) -> tuple[Material, str, str]:
    """Mostly the room's wood, sometimes painted: material, colour name, material name."""
    if rng.random() < painted:
        name = "white" if rng.random() < 0.5 else style.accent(rng)
        return paint(name, rng), name, "wood"
    return replace(style.wood, seed=float(rng.random())), style.wood_color, "wood"


def _legs(width: float, depth: float, height: float, thick: float, material: Material, taper: float) -> list[Mesh]:
    x, y = width / 2 - thick / 2, depth / 2 - thick / 2
    return [
        box((thick, thick, height), (sx * x, sy * y, height / 2), material, taper)
        for sx in (-1, 1) for sy in (-1, 1)
    ]


def _splayed(width: float, depth: float, height: float, radius: float, material: Material) -> list[Mesh]:
    x, y = width / 2 - radius, depth / 2 - radius
    return [
        tube((sx * x, sy * y, 0), (sx * x * 0.75, sy * y * 0.75, height), radius * 0.7, material, radius)
        for sx in (-1, 1) for sy in (-1, 1)
    ]


# ---- to sit and lie on -----------------------------------------------------------------------------------------------


def chair(rng: Rng, style: Style) -> Shape:
    """A dining chair: seat, four legs, a back of slats, a board or upholstery."""
    w, d, seat = rng.uniform(0.40, 0.48), rng.uniform(0.40, 0.47), rng.uniform(0.43, 0.47)
    high = rng.uniform(0.80, 0.98)
    kind = int(rng.integers(3))
    name = style.accent(rng)
    frame, frame_color, _ = _wooden(rng, style, 0.15)
    if kind == 0:
        shell = plastic(name, rng)
        parts = _splayed(w, d, seat, 0.018, frame if rng.random() < 0.6 else metal(rng))
        parts.append(pillow((w, d, 0.06), (0, 0, seat), shell, 0.5))
        back = pillow((w, 0.05, high - seat), (0, 0, (high - seat) / 2), shell, 0.5)
        parts.append(back.turned(about(0, -0.14)).moved((0, d / 2 - 0.04, seat)))
        return Shape("chair", parts, name, "plastic", attributes=("sit",))
    body = paint(name, rng) if rng.random() < 0.5 else frame
    color = frame_color if body is frame else name
    thick = rng.uniform(0.032, 0.045)
    parts = _legs(w, d, seat, thick, body, 0.75)
    x, y = w / 2 - thick / 2, d / 2 - thick / 2
    lean = 0.07
    parts += [tube((s * x, y, seat), (s * x, y + lean, high), thick / 2, body) for s in (-1, 1)]
    if kind == 1:
        parts.append(box((w, d, 0.03), (0, 0, seat - 0.015), body))
        count = int(rng.integers(2, 5))
        for z in np.linspace(seat + 0.16, high - 0.04, count):
            parts.append(box((w - thick, 0.018, 0.055), (0, y + lean * (z - seat) / (high - seat), z), body))
        material = "wood"
    else:
        cover = fabric(name, rng)
        color, material = name, "fabric"
        parts.append(pillow((w, d, 0.08), (0, -0.01, seat), cover, 0.3))
        back = pillow((w - 0.01, 0.05, (high - seat) * 0.72), (0, 0, 0), cover, 0.35)
        parts.append(back.turned(about(0, -0.14)).moved((0, y + lean * 0.6, seat + (high - seat) * 0.62)))
    return Shape("chair", parts, color, material, attributes=("sit",))


def office_chair(rng: Rng, style: Style) -> Shape:
    """Five-star base on castors, gas spring, padded seat and back, perhaps armrests."""
    name = "black" if rng.random() < 0.4 else style.accent(rng)
    cover, frame = fabric(name, rng, 0.05), plastic("black", rng)
    w, seat, high = rng.uniform(0.46, 0.52), rng.uniform(0.46, 0.52), rng.uniform(0.95, 1.12)
    parts = []
    for k in range(5):
        angle = 2 * np.pi * k / 5 + 0.3
        x, y = 0.29 * np.cos(angle), 0.29 * np.sin(angle)
        parts += [tube((0, 0, 0.11), (x, y, 0.075), 0.022, frame, 0.015),
                  pillow((0.055, 0.055, 0.055), (x, y, 0.0275), frame, 0.8, (8, 6))]
    parts.append(tube((0, 0, 0.09), (0, 0, seat - 0.04), 0.028, metal(rng)))
    parts.append(pillow((w, w, 0.10), (0, -0.01, seat), cover, 0.35))
    parts.append(tube((0, w / 2 - 0.06, seat - 0.03), (0, w / 2 + 0.03, seat + 0.25), 0.025, frame))
    back = pillow((w * 0.92, 0.07, high - seat - 0.10), (0, 0, 0), cover, 0.4)
    parts.append(back.turned(about(0, -0.12)).moved((0, w / 2 + 0.03, (high + seat + 0.10) / 2)))
    if rng.random() < 0.6:
        for s in (-1, 1):
            x = s * (w / 2 + 0.02)
            parts += [tube((x * 0.9, 0.05, seat - 0.03), (x, 0.05, seat + 0.2), 0.016, frame),
                      pillow((0.06, 0.26, 0.035), (x, 0.02, seat + 0.21), frame, 0.4)]
    return Shape("office chair", parts, name, "fabric", attributes=("sit",))


def _upholstered(rng: Rng, style: Style, name: str, width: float, seats: int) -> Shape:
    color = style.accent(rng)
    cover = fabric(color, rng, 0.25)
    soft = replace(cover, seed=cover.seed + 0.1)
    d, seat, high = rng.uniform(0.80, 0.92), rng.uniform(0.40, 0.46), rng.uniform(0.74, 0.90)
    arm_w, arm_h = rng.uniform(0.13, 0.20), rng.uniform(0.55, 0.64)
    foot = 0.09
    leg = _wooden(rng, style, 0.0)[0]
    parts = [tube((sx * (width / 2 - 0.07), sy * (d / 2 - 0.07), 0), (sx * (width / 2 - 0.07), sy * (d / 2 - 0.07),
             foot + 0.02), 0.018, leg, 0.026) for sx in (-1, 1) for sy in (-1, 1)]
    inner = width - 2 * arm_w
    parts.append(box((width - 0.04, d - 0.05, 0.20), (0, 0, foot + 0.10), cover))
    for s in (-1, 1):
        parts.append(pillow((arm_w, d, arm_h - foot), (s * (width - arm_w) / 2, 0, (arm_h + foot) / 2), cover, 0.22))
    parts.append(pillow((width - 0.06, 0.22, high - foot), (0, d / 2 - 0.11, (high + foot) / 2), cover, 0.2))
    each = inner / seats
    for k in range(seats):
        x = -inner / 2 + each * (k + 0.5)
        parts.append(pillow((each - 0.012, d - 0.22, 0.17), (x, -0.09, seat - 0.085), soft, 0.25))
        pad = pillow((each - 0.015, 0.16, high - seat - 0.02), (0, 0, 0), soft, 0.35)
        parts.append(pad.turned(about(0, -0.16)).moved((x, d / 2 - 0.26, (high + seat) / 2 + 0.01)))
    free = Surface((-inner / 2 + 0.03, -d / 2 + 0.24), (inner / 2 - 0.03, d / 2 - 0.30), seat, high - seat)
    return Shape(name, parts, color, "fabric", (free,), ("sit", "lie") if seats > 1 else ("sit",))


def armchair(rng: Rng, style: Style) -> Shape:
    """Upholstered, for one."""
    return _upholstered(rng, style, "armchair", rng.uniform(0.78, 0.92), 1)


def sofa(rng: Rng, style: Style) -> Shape:
    """Upholstered, for two or three."""
    seats = int(rng.integers(2, 4))
    return _upholstered(rng, style, "sofa", rng.uniform(1.45, 1.7) + 0.45 * (seats - 2), seats)


def stool(rng: Rng, style: Style) -> Shape:
    """Round or square, wooden or upholstered."""
    h, r = rng.uniform(0.42, 0.55), rng.uniform(0.16, 0.20)
    body, color, material = _wooden(rng, style, 0.4)
    parts = _splayed(2 * r, 2 * r, h - 0.02, 0.017, body)
    if rng.random() < 0.5:
        color, material = style.accent(rng), "fabric"
        parts.append(pillow((2 * r, 2 * r, 0.10), (0, 0, h), fabric(color, rng), 0.6))
    else:
        parts.append(lathe(((0, h - 0.035), (r, h - 0.035), (r, h), (0, h)), body, 24))
    return Shape("stool", parts, color, material, attributes=("sit",))


def bed(rng: Rng, style: Style) -> Shape:
    """Frame, headboard, mattress, blanket, one or two pillows. The head is at +y."""
    double = bool(rng.random() < 0.6)
    w, long = (rng.uniform(1.4, 1.65) if double else rng.uniform(0.92, 1.05)), rng.uniform(1.95, 2.05)
    frame, _, _ = _wooden(rng, style)
    color = style.accent(rng)
    cover, linen = fabric(color, rng, 0.5), fabric("white", rng, 0.0)
    base, top, head = 0.30, rng.uniform(0.48, 0.56), rng.uniform(0.85, 1.10)
    parts = _legs(w, long, 0.14, 0.07, frame, 0.8)
    parts.append(box((w, long, base - 0.12), (0, 0, (base + 0.12) / 2), frame))
    parts.append(slab((-w / 2, long / 2, 0.0), (w / 2, long / 2 + 0.05, head), frame))
    parts.append(pillow((w - 0.05, long - 0.04, top - base + 0.03), (0, 0, (top + base) / 2 - 0.01), linen, 0.12,
                        (28, 14)))
    reach = long * rng.uniform(0.62, 0.70)
    parts.append(pillow((w + 0.02, reach, top - base + 0.05), (0, -long / 2 + reach / 2 - 0.01, (top + base) / 2),
                        cover, 0.10, (28, 14)))
    count = 2 if double else 1
    for k in range(count):
        x = (k - (count - 1) / 2) * w / 2
        cushion_ = pillow((min(0.68, w / count - 0.08), 0.42, 0.15), (0, 0, 0), linen, 0.5)
        parts.append(cushion_.turned(about(0, 0.22)).moved((x, long / 2 - 0.28, top + 0.06)))
    free = Surface((-w / 2 + 0.1, -long / 2 + 0.15), (w / 2 - 0.1, long / 2 - 0.65), top + 0.025)
    return Shape("bed", parts, color, "fabric", (free,), ("lie", "sit"))


# ---- tables ----------------------------------------------------------------------------------------------------------


def _table(rng: Rng, style: Style, name: str, w: float, d: float, h: float) -> Shape:
    body, color, material = _wooden(rng, style)
    top_t = rng.uniform(0.022, 0.04)
    steel = bool(rng.random() < 0.3)
    legs = metal(rng, bool(rng.random() < 0.5)) if steel else body
    if rng.random() < 0.4:
        parts = _splayed(w - 0.06, d - 0.06, h - top_t, 0.025, legs)
    else:
        thick = 0.035 if steel else rng.uniform(0.045, 0.07)
        parts = _legs(w - 0.02, d - 0.02, h - top_t, thick, legs, 1.0 if steel else 0.8)
        apron = 0.07
        for s in (-1, 1):
            parts.append(box((w - 0.12, 0.018, apron), (0, s * (d / 2 - 0.05), h - top_t - apron / 2), legs))
            parts.append(box((0.018, d - 0.12, apron), (s * (w / 2 - 0.05), 0, h - top_t - apron / 2), legs))
    parts.append(box((w, d, top_t), (0, 0, h - top_t / 2), body))
    free = Surface((-w / 2 + 0.03, -d / 2 + 0.03), (w / 2 - 0.03, d / 2 - 0.03), h)
    return Shape(name, parts, color, material, (free,), ("put on", "eat at") if name == "table" else ("put on",))


def table(rng: Rng, style: Style) -> Shape:
    """A dining table; some are round on one foot."""
    h = rng.uniform(0.72, 0.77)
    if rng.random() < 0.3:
        r = rng.uniform(0.45, 0.58)
        body, color, material = _wooden(rng, style)
        parts = [lathe(((0, h - 0.035), (r - 0.01, h - 0.035), (r, h - 0.02), (r, h), (0, h)), body, 36),
                 tube((0, 0, 0.03), (0, 0, h - 0.03), 0.05, body),
                 lathe(((0, 0), (0.30, 0), (0.28, 0.03), (0.05, 0.05), (0, 0.05)), body, 28)]
        side = r * 0.68
        return Shape("table", parts, color, material, (Surface((-side, -side), (side, side), h),),
                     ("put on", "eat at"))
    return _table(rng, style, "table", rng.uniform(1.1, 1.7), rng.uniform(0.75, 0.92), h)


def coffee_table(rng: Rng, style: Style) -> Shape:
    """Low."""
    return _table(rng, style, "coffee table", rng.uniform(0.8, 1.15), rng.uniform(0.48, 0.62), rng.uniform(0.38, 0.46))


def desk(rng: Rng, style: Style) -> Shape:
    """A top on legs with a block of drawers at one side."""
    w, d, h = rng.uniform(1.15, 1.55), rng.uniform(0.60, 0.75), rng.uniform(0.72, 0.76)
    plain = _table(rng, style, "desk", w, d, h)
    body, _, _ = _wooden(rng, style)
    side, bw = (-1 if rng.random() < 0.5 else 1), 0.40
    x = side * (w / 2 - bw / 2 - 0.03)
    parts = [*plain.parts, box((bw, d - 0.10, h - 0.12), (x, 0.02, h / 2 + 0.01), body)]
    parts += _fronts(x - bw / 2, x + bw / 2, 0.09, h - 0.06, -d / 2 + 0.07, 3, 1, body, metal(rng), False)
    return Shape("desk", parts, plain.color, "wood", plain.surfaces, ("put on", "work at"))


# ---- to keep things in -----------------------------------------------------------------------------------------------


def _fronts(
    x0: float, x1: float, z0: float, z1: float, y: float, rows: int, columns: int, material: Material, knob: Material,
    doors: bool,
) -> list[Mesh]:
    """Drawer or door fronts with handles on the plane y, a gap between them."""
    parts = []
    for r in range(rows):
        for c in range(columns):
            a, b = x0 + (x1 - x0) * c / columns + 0.006, x0 + (x1 - x0) * (c + 1) / columns - 0.006
            low, high = z0 + (z1 - z0) * r / rows + 0.006, z0 + (z1 - z0) * (r + 1) / rows - 0.006
            face = replace(material, seed=material.seed + 0.07 * (r + 1) + 0.03 * c)
            parts.append(slab((a, y - 0.018, low), (b, y, high), face))
            if doors:
                x = b - 0.04 if c % 2 == 0 and columns > 1 else a + 0.04
                z = (low + high) / 2
                parts.append(tube((x, y - 0.035, z - 0.06), (x, y - 0.035, z + 0.06), 0.007, knob))
            else:
                x, z = (a + b) / 2, (low + high) / 2
                parts.append(tube((x - 0.05, y - 0.035, z), (x + 0.05, y - 0.035, z), 0.007, knob))
    return parts


def _chest(
    rng: Rng, style: Style, name: str, w: float, d: float, h: float, rows: int, columns: int, doors: bool
) -> Shape:
    body, color, material = _wooden(rng, style, 0.4)
    front = paint(style.accent(rng), rng) if rng.random() < 0.25 else body
    foot = 0.05 if rng.random() < 0.5 else 0.12
    parts = _legs(w - 0.04, d - 0.04, foot, 0.045, body, 0.8)
    parts.append(slab((-w / 2 + 0.008, -d / 2 + 0.02, foot), (w / 2 - 0.008, d / 2, h - 0.02), body))
    parts.append(slab((-w / 2, -d / 2, h - 0.025), (w / 2, d / 2, h), body))
    parts += _fronts(-w / 2 + 0.015, w / 2 - 0.015, foot + 0.015, h - 0.035, -d / 2 + 0.021, rows, columns, front,
                     metal(rng, bool(rng.random() < 0.5)), doors)
    free = Surface((-w / 2 + 0.02, -d / 2 + 0.03), (w / 2 - 0.02, d / 2 - 0.02), h)
    if h > 1.5:
        return Shape(name, parts, color, material, (), ("store in",))
    return Shape(name, parts, color, material, (free,), ("store in", "put on"))


def nightstand(rng: Rng, style: Style) -> Shape:
    """One or two drawers."""
    return _chest(rng, style, "nightstand", rng.uniform(0.38, 0.48), rng.uniform(0.36, 0.42), rng.uniform(0.45, 0.58),
                  int(rng.integers(1, 3)), 1, False)


def cabinet(rng: Rng, style: Style) -> Shape:
    """Two or three doors, chest high."""
    return _chest(rng, style, "cabinet", rng.uniform(0.8, 1.3), rng.uniform(0.38, 0.46), rng.uniform(0.75, 1.15), 1,
                  int(rng.integers(2, 4)), True)


def dresser(rng: Rng, style: Style) -> Shape:
    """A chest of drawers."""
    return _chest(rng, style, "dresser", rng.uniform(0.75, 1.2), rng.uniform(0.42, 0.5), rng.uniform(0.75, 0.95),
                  int(rng.integers(3, 5)), int(rng.integers(1, 3)), False)


def wardrobe(rng: Rng, style: Style) -> Shape:
    """Tall, two or three doors."""
    columns = int(rng.integers(2, 4))
    return _chest(rng, style, "wardrobe", 0.48 * columns + rng.uniform(0, 0.1), rng.uniform(0.55, 0.62),
                  rng.uniform(1.85, 2.1), 1, columns, True)


def tv_stand(rng: Rng, style: Style) -> Shape:
    """Low and long."""
    return _chest(rng, style, "tv stand", rng.uniform(1.1, 1.6), rng.uniform(0.38, 0.45), rng.uniform(0.42, 0.55), 1,
                  int(rng.integers(2, 4)), bool(rng.random() < 0.5))


def bookshelf(rng: Rng, style: Style) -> Shape:
    """Open shelves between two sides, with a back."""
    w, d, h = rng.uniform(0.65, 1.05), rng.uniform(0.27, 0.34), rng.uniform(1.3, 2.0)
    body, color, material = _wooden(rng, style, 0.35)
    t = 0.022
    back = replace(body, a=darker(body.a, 0.75), b=darker(body.b, 0.75))
    parts = [slab((s * w / 2 - (t if s > 0 else 0), -d / 2, 0), (s * w / 2 + (0 if s > 0 else t), d / 2, h), body)
             for s in (-1, 1)]
    parts.append(slab((-w / 2 + t, d / 2 - 0.008, 0.05), (w / 2 - t, d / 2 - 0.002, h - t), back))
    levels = round((h - 0.06) / 0.34)
    step = (h - 0.06 - t) / levels
    surfaces = []
    for k in range(levels + 1):
        z = 0.06 + k * step
        parts.append(slab((-w / 2 + t, -d / 2 + 0.004, z), (w / 2 - t, d / 2 - 0.008, z + t), body))
        if k < levels:
            surfaces.append(Surface((-w / 2 + t + 0.01, -d / 2 + 0.015), (w / 2 - t - 0.01, d / 2 - 0.02), z + t,
                                    step - t - 0.015))
    parts.append(slab((-w / 2 + t, -d / 2 + 0.02, 0), (w / 2 - t, -d / 2 + 0.035, 0.06), body))
    top = Surface((-w / 2 + 0.03, -d / 2 + 0.02), (w / 2 - 0.03, d / 2 - 0.02), h)
    return Shape("bookshelf", parts, color, material, (*surfaces, top) if h < 1.6 else surfaces, ("store in", "put on"))


# ---- on the floor ----------------------------------------------------------------------------------------------------


def bin_(rng: Rng, style: Style) -> Shape:
    """An open waste bin."""
    h, r = rng.uniform(0.26, 0.40), rng.uniform(0.12, 0.16)
    color = style.accent(rng)
    if rng.random() < 0.4:
        body, material = metal(rng), "metal"
        color = "grey"
    else:
        body, material = plastic(color, rng), "plastic"
    low = r * 0.78
    profile = ((0, 0), (low, 0), (r, h), (r - 0.008, h), (low - 0.008, 0.01), (0, 0.01))
    return Shape("bin", [lathe(profile, body, 24)], color, material, attributes=("throw in",))


def basket(rng: Rng, style: Style) -> Shape:
    """Wicker, round."""
    h, r = rng.uniform(0.25, 0.42), rng.uniform(0.16, 0.22)
    color = "beige" if rng.random() < 0.6 else "brown"
    a = fabric(color, rng, 0.0)
    body = replace(a, pattern="checks", scale=0.03, contrast=0.8, b=darker(a.a, 0.45))
    profile = ((0, 0), (r * 0.85, 0), (r, h * 0.5), (r * 0.93, h), (r * 0.93 - 0.015, h), (r - 0.015, h * 0.5),
               (r * 0.85 - 0.015, 0.015), (0, 0.015))
    return Shape("basket", [lathe(profile, body, 24)], color, "wicker", attributes=("store in",))


def bag(rng: Rng, style: Style) -> Shape:
    """A soft bag with two handles."""
    w, d, h = rng.uniform(0.32, 0.45), rng.uniform(0.14, 0.2), rng.uniform(0.26, 0.36)
    color = style.accent(rng)
    body = fabric(color, rng, 0.3)
    parts = [pillow((w, d, h), (0, 0, h / 2), body, 0.35)]
    strap = fabric("black", rng, 0.0)
    for s in (-1, 1):
        y, z, x = s * d * 0.22, h * 0.93, w * 0.2
        points = [(-x, y, z), (-x * 0.7, y * 1.3, z + 0.10), (x * 0.7, y * 1.3, z + 0.10), (x, y, z)]
        parts += [tube(points[k], points[k + 1], 0.011, strap, sides=8) for k in range(3)]
    return Shape("bag", parts, color, "fabric", attributes=("carry",))


def floor_plant(rng: Rng, style: Style) -> Shape:
    """A big potted plant."""
    return potted(rng, style, rng.uniform(0.28, 0.38), rng.uniform(0.14, 0.19), rng.uniform(0.8, 1.4))


def potted(rng: Rng, style: Style, pot_h: float, r: float, high: float) -> Shape:
    color = style.accent(rng)
    pot = plastic(color, rng, 0.2)
    soil = Material("carpet", (0.03, 0.02, 0.012), (0.06, 0.04, 0.025), seed=float(rng.random()))
    parts = [lathe(((0, 0), (r * 0.72, 0), (r, pot_h), (r * 0.92, pot_h), (r * 0.9, pot_h * 0.9)), pot, 20),
             lathe(((r * 0.9, pot_h * 0.88), (0, pot_h * 0.9)), soil, 20)]
    green = np.array([0.06, 0.16, 0.05]) * rng.uniform(0.8, 1.7)
    tall = high - pot_h
    stems = bool(rng.random() < 0.5)
    count = int(rng.integers(16, 26))
    if stems:
        parts.append(tube((0, 0, pot_h * 0.85), (0, 0, pot_h + tall * 0.8), r * 0.07, Material(
            "wood", (0.12, 0.08, 0.04), (0.07, 0.05, 0.03), seed=0.4)))
    for k in range(count):
        tint = green * rng.uniform(0.7, 1.3)
        leaf = Material("leaf", (float(tint[0]), float(tint[1]), float(tint[2])), (0.0, 0.0, 0.0), gloss=0.06,
                        seed=float(rng.random()))
        heading = 2.399963 * k + rng.normal(0, 0.2)
        if stems:
            z = pot_h + tall * (0.25 + 0.6 * k / count)
            parts.append(blade((0, 0, z), heading, tall * rng.uniform(0.22, 0.36), r * 0.62, 0.7, rng.uniform(0.5, 1.0),
                               leaf))
        else:
            steep = rng.uniform(0.7, 2.6)
            length = tall / (0.35 + 0.55 * steep) * rng.uniform(0.45, 0.6)
            parts.append(blade((0, 0, pot_h * 0.88), heading, length, r * 0.5, steep, rng.uniform(0.3, 0.9), leaf))
    return Shape("plant", parts, "green", "plant", attributes=("water",))


def floor_lamp(rng: Rng, style: Style) -> Shape:
    """Foot, pole, shade."""
    h = rng.uniform(1.4, 1.7)
    return _lamp(rng, style, h, rng.uniform(0.17, 0.23), rng.uniform(0.24, 0.32), 0.15, 0.013)


def table_lamp(rng: Rng, style: Style) -> Shape:
    """Foot, shade."""
    h = rng.uniform(0.36, 0.52)
    return _lamp(rng, style, h, rng.uniform(0.10, 0.14), h * rng.uniform(0.38, 0.48), 0.07, 0.012)


def _lamp(rng: Rng, style: Style, h: float, r: float, shade_h: float, foot: float, pole: float) -> Shape:
    color = "white" if rng.random() < 0.5 else style.accent(rng)
    tint = plastic(color, rng).a
    screen = Material("shade", tint, tint, seed=float(rng.random()), glow=float(rng.uniform(0.25, 0.6)))
    body = metal(rng, bool(rng.random() < 0.5))
    top = r * rng.uniform(0.55, 0.95)
    z0 = h - shade_h
    shade = lathe(((r, z0), (top, h), (top - 0.004, h), (r - 0.004, z0), (r, z0)), screen, 28)
    coords = shade.coords.copy()
    coords[:, 0] = 0.0
    coords[:, 1] = (shade.vertices[:, 2] - z0) / shade_h * 2 - 1
    parts = [lathe(((0, 0), (foot, 0), (foot, 0.015), (0.03, 0.025), (0, 0.025)), body, 24),
             tube((0, 0, 0.01), (0, 0, z0 + shade_h * 0.4), pole, body), replace(shade, coords=coords)]
    bulb = Material("plain", (0.9, 0.85, 0.7), (0.9, 0.85, 0.7), glow=1.5)
    parts.append(pillow((0.07, 0.07, 0.1), (0, 0, z0 + shade_h * 0.45), bulb, 1.0, (10, 6)))
    return Shape("lamp", parts, color, "metal", attributes=("light",))
