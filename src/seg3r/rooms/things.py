"""Things that stand on furniture, lie on the floor or hang on a wall; and doors, windows, curtains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seg3r.rooms.furniture import Rng, potted
from seg3r.rooms.mesh import Mesh, about, box, lathe, pillow, plate, slab, tube
from seg3r.rooms.shape import Shape, Style, fabric, metal, paint, plastic
from seg3r.rooms.texture import COLORS, Material, darker, linear, shade_of

NAMES = tuple(COLORS)
BLACK = (0.0, 0.0, 0.0)
"""Of graphics, which bring their own colours."""


def _any_color(rng: Rng) -> str:
    return NAMES[int(rng.integers(len(NAMES)))]


# ---- on tables and shelves -------------------------------------------------------------------------------------------


def cup(rng: Rng, style: Style) -> Shape:
    """A mug with a handle."""
    h, r = rng.uniform(0.085, 0.115), rng.uniform(0.038, 0.046)
    color = _any_color(rng)
    body = plastic(color, rng, 0.4)
    profile = ((0, 0), (r * 0.9, 0), (r, h * 0.2), (r, h), (r - 0.004, h), (r - 0.005, 0.01), (0, 0.008))
    parts = [lathe(profile, body, 20)]
    points = [(r - 0.003, 0, h * 0.25), (r + 0.026, 0, h * 0.35), (r + 0.026, 0, h * 0.68), (r - 0.003, 0, h * 0.78)]
    parts += [tube(points[k], points[k + 1], 0.006, body, sides=8) for k in range(3)]
    return Shape("cup", parts, color, "ceramic", attributes=("drink",))


def bowl(rng: Rng, style: Style) -> Shape:
    """Ceramic."""
    r, h = rng.uniform(0.08, 0.14), rng.uniform(0.055, 0.085)
    color = _any_color(rng)
    t = np.linspace(0, 1, 6)
    out = [(float(r * (0.4 + 0.6 * np.sin(a * np.pi / 2))), float(h * a**1.4)) for a in t]
    profile = [(0.0, 0.0), *out, *[(a - 0.006, b + 0.002) for a, b in reversed(out)], (0.0, 0.008)]
    return Shape("bowl", [lathe(profile, plastic(color, rng, 0.4), 28)], color, "ceramic", attributes=("eat from",))


def bottle(rng: Rng, style: Style) -> Shape:
    """Glass, with a cap."""
    h, r = rng.uniform(0.22, 0.33), rng.uniform(0.033, 0.045)
    color = ("green", "brown", "blue", "white", "red")[int(rng.integers(5))]
    tint = darker(shade_of(color, rng), 0.7)
    body = Material("plain", tint, darker(tint, 0.7), gloss=0.6, seed=float(rng.random()))
    neck = r * 0.34
    profile = ((0, 0), (r, 0), (r, h * 0.58), (r * 0.8, h * 0.68), (neck, h * 0.78), (neck, h * 0.95), (0, h * 0.95))
    label = Material("stripes", linear((0.9, 0.88, 0.8)), shade_of(_any_color(rng), rng), 0.05, 1.0,
                     seed=float(rng.random()))
    band = lathe(((r + 0.0008, h * 0.18), (r + 0.0008, h * 0.48)), label, 20)
    return Shape("bottle", [lathe(profile, body, 20), band,
                            tube((0, 0, h * 0.94), (0, 0, h), neck + 0.003, plastic(_any_color(rng), rng), sides=12)],
                 color, "glass", attributes=("drink",))


def vase(rng: Rng, style: Style) -> Shape:
    """Ceramic, turned."""
    h, r = rng.uniform(0.18, 0.34), rng.uniform(0.06, 0.10)
    color = _any_color(rng)
    body = plastic(color, rng, 0.4) if rng.random() < 0.6 else replace(fabric(color, rng, 1.0), gloss=0.3)
    t = np.linspace(0, 1, 12)
    wide, neck = rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.55)
    radius = r * (neck + (1 - neck) * np.exp(-(((t - wide) / 0.28) ** 2)))
    profile = [(0.0, 0.0), *[(float(a), float(h * b)) for a, b in zip(radius, t, strict=True)],
               *[(float(a) - 0.006, float(h * b)) for a, b in zip(radius[::-1][:4], t[::-1][:4], strict=True)]]
    return Shape("vase", [lathe(profile, body, 28, smooth=True)], color, "ceramic", attributes=("put flowers in",))


def _book(w: float, d: float, h: float, rng: Rng, color: str) -> list[Mesh]:
    cover = plastic(color, rng, 0.08)
    pages = Material("paper", linear((0.92, 0.90, 0.83)), (0.5, 0.45, 0.4), 0.004, seed=float(rng.random()))
    t = 0.003
    return [slab((-w / 2, -d / 2, 0), (w / 2, d / 2, t), cover),
            slab((-w / 2, -d / 2, h - t), (w / 2, d / 2, h), cover),
            slab((-w / 2, d / 2 - t, t), (w / 2, d / 2, h - t), cover),
            slab((-w / 2 + 0.005, -d / 2 + 0.005, t), (w / 2 - 0.005, d / 2 - t, h - t), pages)]


def book(rng: Rng, style: Style) -> Shape:
    """Lying flat; its cover bears a picture."""
    w, d, h = rng.uniform(0.20, 0.27), rng.uniform(0.14, 0.20), rng.uniform(0.018, 0.045)
    color = _any_color(rng)
    parts = _book(w, d, h, rng, color)
    art = Material("poster", BLACK, BLACK, seed=float(rng.random()))
    front = plate((w * 0.7, d * 0.6), art, (1.0, 0.8)).turned(about(0, -np.pi / 2))
    parts.append(front.moved((0, 0, h + 0.0006)))
    return Shape("book", parts, color, "paper", attributes=("read",))


def books(rng: Rng, style: Style) -> Shape:
    """A row of books, spines to the front."""
    width = rng.uniform(0.18, 0.42)
    parts: list[Mesh] = []
    x, high = -width / 2, rng.uniform(0.19, 0.24)
    depth = rng.uniform(0.14, 0.18)
    palette = [_any_color(rng) for _ in range(4)]
    while True:
        t = rng.uniform(0.018, 0.05)
        if x + t > width / 2:
            break
        h, d = high * rng.uniform(0.78, 1.0), depth * rng.uniform(0.85, 1.0)
        one = _book(h, d, t, rng, palette[int(rng.integers(4))])
        for part in one:
            upright = part.turned(about(1, np.pi / 2)).turned(about(2, np.pi))
            parts.append(upright.moved((x + t, depth / 2 - d / 2 - 0.001, h / 2)))
        spine = paint(palette[int(rng.integers(4))], rng)
        y = depth / 2 - d
        parts.append(slab((x + 0.004, y - 0.0025, h * 0.62), (x + t - 0.004, y, h * 0.74), spine))
        x += t + 0.001
    return Shape("books", parts, "mixed", "paper", attributes=("read",))


def box_(rng: Rng, style: Style) -> Shape:
    """A cardboard box with tape, or a painted one."""
    w, d, h = rng.uniform(0.16, 0.38), rng.uniform(0.14, 0.30), rng.uniform(0.10, 0.26)
    if rng.random() < 0.55:
        a = shade_of("beige", rng)
        a = darker(a, 0.62)
        card = Material("cardboard", a, (0.62, 0.50, 0.33), 0.0, 0.9, seed=0.0)
        body = box((w, d, h), (0, 0, h / 2), card)
        body = replace(body, coords=body.vertices)
        return Shape("box", [body], "brown", "cardboard", attributes=("store in",))
    color = _any_color(rng)
    body_m, lid = paint(color, rng), fabric(color, rng, 0.5)
    return Shape("box", [box((w, d, h), (0, 0, h / 2), body_m), box((w + 0.01, d + 0.01, h * 0.25),
                                                                     (0, 0, h * 0.885), lid)],
                 color, "cardboard", attributes=("store in",))


def monitor(rng: Rng, style: Style) -> Shape:
    """A flat screen on a foot."""
    w = rng.uniform(0.48, 0.68)
    h = w * 0.58
    frame = plastic("black" if rng.random() < 0.75 else "grey", rng)
    foot = rng.uniform(0.10, 0.15)
    parts = [box((0.22, 0.17, 0.015), (0, 0.02, 0.0075), frame),
             tube((0, 0.03, 0.01), (0, 0.03, foot + h / 2), 0.02, frame),
             slab((-w / 2, -0.02, foot), (w / 2, 0.02, foot + h), frame)]
    parts.append(_screen(w - 0.03, h - 0.03, rng).moved((0, -0.021, foot + h / 2)))
    return Shape("monitor", parts, "black", "plastic", attributes=("look at", "work at"))


def _screen(w: float, h: float, rng: Rng) -> Mesh:
    lit = bool(rng.random() < 0.75)
    a = shade_of(_any_color(rng), rng) if lit else (0.012, 0.013, 0.016)
    glow = float(rng.uniform(0.35, 0.7)) if lit else 0.0
    return plate((w, h), Material("screen", a, a, 1.0, 1.0 if lit else 0.0, 0.3, float(rng.random()), glow))


def television(rng: Rng, style: Style) -> Shape:
    """Wide, on two feet; on or off."""
    w = rng.uniform(0.85, 1.2)
    h = w * 0.57
    frame = plastic("black", rng)
    parts = [slab((-w / 2, -0.025, 0.05), (w / 2, 0.025, 0.05 + h), frame)]
    parts += [box((0.03, 0.22, 0.05), (s * w * 0.3, 0, 0.025), frame) for s in (-1, 1)]
    front = _screen(w - 0.03, h - 0.03, rng)
    if front.material.glow > 0:
        front = replace(front, material=replace(front.material, pattern="poster"))
    parts.append(front.moved((0, -0.026, 0.05 + h / 2)))
    return Shape("television", parts, "black", "plastic", attributes=("look at",))


def laptop(rng: Rng, style: Style) -> Shape:
    """Open."""
    w, d = rng.uniform(0.31, 0.37), rng.uniform(0.21, 0.25)
    color = ("grey", "black", "white")[int(rng.integers(3))]
    body = plastic(color, rng)
    keys = Material("keys", darker(body.a, 0.5), (0.02, 0.02, 0.022), seed=0.1)
    flat = plate((w * 0.86, d * 0.5), keys).turned(about(0, -np.pi / 2))
    lid = [slab((-w / 2, -0.004, 0), (w / 2, 0.004, d), body),
           _screen(w - 0.02, d - 0.025, rng).moved((0, -0.0045, d / 2))]
    parts = [slab((-w / 2, -d / 2, 0), (w / 2, d / 2, 0.018), body), flat.moved((0, 0.03, 0.0187))]
    parts += [p.turned(about(0, -0.30)).moved((0, d / 2 - 0.005, 0.012)) for p in lid]
    return Shape("laptop", parts, color, "plastic", attributes=("work at", "look at"))


def keyboard(rng: Rng, style: Style) -> Shape:
    """Flat, keys on top."""
    w, d = rng.uniform(0.38, 0.45), rng.uniform(0.12, 0.15)
    color = "black" if rng.random() < 0.6 else "white"
    body = plastic(color, rng)
    other = linear((0.05, 0.05, 0.055)) if color == "black" else linear((0.72, 0.72, 0.72))
    keys = plate((w - 0.01, d - 0.01), Material("keys", body.a, other, seed=0.2)).turned(about(0, -np.pi / 2))
    return Shape("keyboard", [slab((-w / 2, -d / 2, 0), (w / 2, d / 2, 0.02), body), keys.moved((0, 0, 0.0206))],
                 color, "plastic", attributes=("type on",))


def cushion(rng: Rng, style: Style) -> Shape:
    """Leans back a little."""
    w, t = rng.uniform(0.36, 0.46), rng.uniform(0.12, 0.17)
    color = _any_color(rng)
    soft = pillow((w, t, w), (0, 0, w / 2), fabric(color, rng, 0.6), 0.45)
    part = soft.turned(about(0, -0.30))
    return Shape("cushion", [part.moved((0, 0, -float(part.vertices[:, 2].min())))], color, "fabric",
                 attributes=("rest the head on",))


def ball(rng: Rng, style: Style) -> Shape:
    """A striped or dotted play ball."""
    r = rng.uniform(0.07, 0.13)
    color = _any_color(rng)
    cover = replace(fabric(color, rng, 1.0), gloss=0.2)
    return Shape("ball", [pillow((2 * r, 2 * r, 2 * r), (0, 0, r), cover, 1.0, (28, 16))], color, "rubber",
                 attributes=("play with",))


def toy_car(rng: Rng, style: Style) -> Shape:
    """Body, cabin, four wheels."""
    color = ("red", "blue", "yellow", "green", "orange")[int(rng.integers(5))]
    length = rng.uniform(0.2, 0.32)
    w, h = length * 0.45, length * 0.42
    body, tyre = plastic(color, rng, 0.4), plastic("black", rng)
    glass = Material("plain", (0.05, 0.07, 0.09), (0.05, 0.07, 0.09), gloss=0.6)
    r = h * 0.24
    parts = [pillow((length, w, h * 0.5), (0, 0, r + h * 0.2), body, 0.3),
             pillow((length * 0.5, w * 0.86, h * 0.46), (-0.03 * length, 0, r + h * 0.52), glass, 0.35)]
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * length * 0.3, sy * w * 0.5
            parts.append(tube((x, y - 0.014, r), (x, y + 0.014, r), r, tyre, sides=16))
    return Shape("toy car", parts, color, "plastic", attributes=("play with",))


def small_plant(rng: Rng, style: Style) -> Shape:
    """A potted plant for a table or a shelf."""
    return potted(rng, style, rng.uniform(0.09, 0.14), rng.uniform(0.05, 0.075), rng.uniform(0.24, 0.42))


# ---- flat ------------------------------------------------------------------------------------------------------------


def rug(rng: Rng, style: Style) -> Shape:
    """A centimetre thick."""
    w, d = rng.uniform(1.3, 2.2), rng.uniform(0.9, 1.5)
    color = _any_color(rng)
    a = shade_of(color, rng)
    b = shade_of(_any_color(rng), rng)
    if rng.random() < 0.3:
        top = Material("rug", a, darker(a, 0.75), 2.0, 0.6, seed=float(rng.random()))
    else:
        top = Material("rug", a, b, float(rng.uniform(1.5, 4.0)), 0.85, seed=float(rng.random()))
    pile = Material("carpet", a, darker(a, 0.7), seed=float(rng.random()))
    face = plate((w, d), top).turned(about(0, -np.pi / 2)).moved((0, 0, 0.0105))
    return Shape("rug", [slab((-w / 2, -d / 2, 0), (w / 2, d / 2, 0.010), pile), face], color, "fabric",
                 attributes=("walk on",))


def picture(rng: Rng, style: Style) -> Shape:
    """Framed, with a mat. Hangs: its back is at y = 0."""
    w, h = rng.uniform(0.35, 0.85), rng.uniform(0.35, 0.70)
    color = ("black", "white", "brown", "beige")[int(rng.integers(4))]
    frame = paint(color, rng) if color != "brown" else replace(style.wood, seed=float(rng.random()))
    color = style.wood_color if color == "brown" else color
    bar, t = rng.uniform(0.018, 0.035), 0.022
    parts = [slab((-w / 2, -t, 0), (w / 2, 0, bar), frame), slab((-w / 2, -t, h - bar), (w / 2, 0, h), frame),
             slab((-w / 2, -t, bar), (-w / 2 + bar, 0, h - bar), frame),
             slab((w / 2 - bar, -t, bar), (w / 2, 0, h - bar), frame)]
    mat = Material("plain", linear((0.93, 0.92, 0.88)), linear((0.85, 0.84, 0.8)), seed=float(rng.random()))
    parts.append(plate((w - 2 * bar, h - 2 * bar), mat).moved((0, -t * 0.55, h / 2)))
    margin = 2 * bar + (0.04 if rng.random() < 0.6 else 0.0)
    art = Material("poster", BLACK, BLACK, seed=float(rng.random()))
    parts.append(plate((w - margin, h - margin), art, _aspect(w, h)).moved((0, -t * 0.6, h / 2)))
    return Shape("picture", parts, color, "wood", attributes=("look at",))


def _aspect(w: float, h: float) -> tuple[float, float]:
    return (1.0, h / w) if w > h else (w / h, 1.0)


def poster(rng: Rng, style: Style) -> Shape:
    """Paper on the wall, 2 mm thick."""
    w = rng.uniform(0.4, 0.62)
    h = w * rng.uniform(1.3, 1.5)
    art = Material("poster", BLACK, BLACK, seed=float(rng.random()))
    edge = Material("plain", linear((0.93, 0.92, 0.9)), linear((0.9, 0.9, 0.88)))
    parts = [slab((-w / 2, -0.002, 0), (w / 2, 0, h), edge),
             plate((w - 0.03, h - 0.03), art, _aspect(w, h)).moved((0, -0.0024, h / 2))]
    return Shape("poster", parts, "mixed", "paper", attributes=("look at",))


def clock(rng: Rng, style: Style) -> Shape:
    """Round, with hands."""
    r = rng.uniform(0.12, 0.18)
    color = _any_color(rng)
    rim = plastic(color, rng)
    face = Material("clock", linear((0.94, 0.94, 0.92)), linear((0.05, 0.05, 0.06)), seed=float(rng.random()))
    disc = lathe(((0, 0), (r, 0), (r, 0.03), (r * 0.9, 0.035), (r * 0.9, 0.025)), rim, 32)
    dial = lathe(((r * 0.9, 0.027), (0, 0.027)), face, 32)
    dial = replace(dial, coords=np.stack((dial.vertices[:, 0] / r * 1.08, dial.vertices[:, 1] / r * 1.08,
                                          np.zeros(len(dial.vertices))), 1))
    upright = about(0, np.pi / 2)
    return Shape("clock", [p.turned(upright).moved((0, 0, r)) for p in (disc, dial)], color, "plastic",
                 attributes=("tell the time",))


# ---- openings --------------------------------------------------------------------------------------------------------


def door(rng: Rng, style: Style) -> Shape:
    """A leaf in its frame, proud of the wall; panels and a handle."""
    w, h = rng.uniform(0.82, 0.92), rng.uniform(2.0, 2.08)
    color = "white" if rng.random() < 0.5 else style.wood_color
    body = paint("white", rng) if color == "white" else replace(style.wood, seed=float(rng.random()))
    trim = replace(body, a=darker(body.a, 0.85))
    edge, t = 0.07, 0.03
    parts = [slab((-w / 2 - edge, -0.045, 0), (-w / 2, 0, h + edge), trim),
             slab((w / 2, -0.045, 0), (w / 2 + edge, 0, h + edge), trim),
             slab((-w / 2, -0.045, h), (w / 2, 0, h + edge), trim),
             slab((-w / 2, -t, 0.004), (w / 2, 0, h), body)]
    for low, high in ((0.15, 0.85), (1.0, h - 0.15)):
        panel = replace(trim, seed=trim.seed + low)
        parts.append(slab((-w / 2 + 0.12, -t - 0.010, low), (w / 2 - 0.12, -t, high), panel))
    side = -1 if rng.random() < 0.5 else 1
    steel = metal(rng)
    x = side * (w / 2 - 0.06)
    parts += [tube((x, -t, 1.02), (x, -t - 0.05, 1.02), 0.01, steel),
              tube((x, -t - 0.05, 1.02), (x - side * 0.11, -t - 0.05, 1.02), 0.009, steel)]
    return Shape("door", parts, color, "wood", attributes=("leave through",))


def window(rng: Rng, style: Style) -> Shape:
    """A frame with one or two bars, a sill, and a view that shines."""
    w, h = rng.uniform(0.9, 1.6), rng.uniform(1.0, 1.3)
    frame = paint("white", rng)
    e, t = 0.06, 0.035
    parts = [slab((-w / 2, -t, 0), (w / 2, 0, e), frame), slab((-w / 2, -t, h - e), (w / 2, 0, h), frame),
             slab((-w / 2, -t, e), (-w / 2 + e, 0, h - e), frame), slab((w / 2 - e, -t, e), (w / 2, 0, h - e), frame),
             slab((-0.025, -t, e), (0.025, 0, h - e), frame),
             slab((-w / 2 - 0.05, -0.14, -0.03), (w / 2 + 0.05, 0, 0.0), frame)]
    if rng.random() < 0.4:
        parts.append(slab((-w / 2 + e, -t, h * 0.62), (w / 2 - e, 0, h * 0.62 + 0.04), frame))
    sky = Material("view", BLACK, BLACK, seed=float(rng.random()), glow=1.6)
    parts.append(plate((w - 2 * e, h - 2 * e), sky).moved((0, -0.008, h / 2)))
    return Shape("window", parts, "white", "glass", attributes=("look out of",))


def curtain(rng: Rng, style: Style, width: float, high: float) -> Shape:
    """Cloth in folds."""
    color = style.accent(rng)
    cloth = fabric(color, rng, 0.35)
    folds = max(3, int(width / 0.09))
    t = np.linspace(0, 1, folds * 8 + 1)
    x = (t - 0.5) * width
    y = -0.06 + 0.028 * np.sin(2 * np.pi * folds * t)
    slope = 0.028 * 2 * np.pi * folds / width * np.cos(2 * np.pi * folds * t)
    normal = np.stack((slope, -np.ones_like(t), np.zeros_like(t)), 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    points = np.concatenate([np.stack((x, y, np.full_like(t, z)), 1) for z in (0.0, high)])
    coords = np.concatenate([np.stack((t * width * 1.4, np.full_like(t, z), y), 1) for z in (0.0, high)])
    k, n = np.arange(len(t) - 1), len(t)
    faces = np.concatenate((np.stack((k, k + 1, k + n), 1), np.stack((k + 1, k + n + 1, k + n), 1)))
    sheet = Mesh(points, np.concatenate((normal, normal)), coords, faces, cloth)
    rod = tube((-width / 2 - 0.04, -0.06, high), (width / 2 + 0.04, -0.06, high), 0.012, metal(rng))
    return Shape("curtain", [sheet, rod], color, "fabric", attributes=("darken the room with",))


def ceiling_lamp(rng: Rng, style: Style) -> Shape:
    """A flat bowl; z = 0 is its lowest point, the ceiling is 0.1 above."""
    r = rng.uniform(0.18, 0.26)
    white = Material("plain", (0.9, 0.88, 0.8), (0.9, 0.88, 0.8), glow=1.1)
    profile = ((0, 0), (r * 0.5, 0.01), (r * 0.85, 0.04), (r, 0.09), (r, 0.1))
    return Shape("lamp", [lathe(profile, white, 32, smooth=True)], "white", "glass", attributes=("light",))
