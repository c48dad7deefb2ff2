"""What stands in which kind of room: recipes over a Layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seg3r.rooms import furniture, things
from seg3r.rooms.furniture import Maker, Rng
from seg3r.rooms.layout import FloorPlan
from seg3r.rooms.shape import Shape, Style

Recipe = Callable[["Decorator"], None]

HEAVY = 0.5
"""Share of a room's things that may be furniture; the rest is small or flat."""


class Decorator:
    """A layout, a style and a count of what there still may be."""

    def __init__(self, layout: FloorPlan, style: Style, rng: Rng, total: int) -> None:
        self.layout = layout
        self.style = style
        self.rng = rng
        self.left = total
        self.total = total

    def make(self, maker: Maker) -> Shape:
        """A new thing in the room's style."""
        return maker(self.rng, self.style)

    def counted(self, at: int) -> int:
        """Notes that one more thing stands."""
        if at >= 0:
            self.left -= 1
        return at

    def chance(self, p: float) -> bool:
        """True with probability p, as long as there is anything left to place."""
        return self.left > 0 and bool(self.rng.random() < p)

    @property
    def heavy_left(self) -> bool:
        """More furniture allowed."""
        return self.total - self.left < HEAVY * self.total

    def wall(self, maker: Maker, walls: Sequence[int] | None = None, corner: bool = False) -> int:
        """A piece against a wall."""
        return self.counted(self.layout.against_wall(self.make(maker), walls, corner))

    def on(self, maker: Maker, whom: int, turn: float | None = 0.0, spot: tuple[float, float] | None = None) -> int:
        """A thing on another."""
        if whom < 0 or self.left <= 0 or not self.layout.placed[whom].shape.surfaces:
            return -1
        return self.counted(self.layout.on(self.make(maker), whom, None, turn, spot))

    def chairs_at(self, table: int, maker: Maker, seats: int) -> int:
        """Chairs of one design around a table, facing it, some pulled out a little; returns how many found room."""
        if table < 0:
            return 0
        host = self.layout.placed[table]
        low, high = host.shape.bounds()
        design = int(self.rng.integers(2**31))
        styles = [self.style, self._other_accent()]
        odd = self.rng.random() < 0.35
        places = [(0.0, -1), (0.0, 1), (1.0, 0), (-1.0, 0)]
        if high[0] - low[0] > 1.35:
            places = [(-0.5, -1), (0.5, -1), (-0.5, 1), (0.5, 1), (1.0, 0), (-1.0, 0)]
        done = 0
        for n, (across, side) in enumerate(places):
            if done == seats or self.left <= 0:
                break
            shape = maker(np.random.default_rng(design), styles[1 if odd and n == 1 else 0])
            front = -float(shape.bounds()[0][1])
            for pulled in (float(self.rng.uniform(-0.16, 0.0)), 0.03, 0.10):
                if side:
                    local = np.array([across * (high[0] - low[0]) / 2, side * (high[1] + front + pulled), 0.0])
                    yaw = 0.0 if side > 0 else np.pi
                else:
                    local = np.array([across * (high[0] + front + pulled), 0.0, 0.0])
                    yaw = -np.pi / 2 if across > 0 else np.pi / 2
                c, s = np.cos(host.yaw), np.sin(host.yaw)
                spot = host.position + np.array([c * local[0] - s * local[1], s * local[0] + c * local[1], 0.0])
                at = self.layout.put(shape, spot, host.yaw + yaw + float(self.rng.normal(0, 0.08)))
                if at >= 0:
                    self.counted(at)
                    done += 1
                    break
        return done

    def _other_accent(self) -> Style:
        names = tuple(n for n in ("red", "yellow", "blue", "green", "white", "orange") if n not in self.style.accents)
        return Style(self.style.wood, self.style.wood_color, names or ("red",))

    def rug(self, near: tuple[float, float], yaw: float) -> int:
        """Under what stands there: rugs collide with nothing but other rugs and the walls."""
        layout = self.layout
        for _ in range(10):
            shape = self.make(things.rug)
            spot = np.array([*(np.array(near) + self.rng.normal(0, 0.15, 2)), 0.0])
            at = len(layout.placed)
            everything = range(at)
            if layout.put(shape, spot, yaw, but=everything) >= 0:
                return self.counted(at)
        return -1

    def desk_place(self, walls: Sequence[int] | None = None) -> int:
        """A desk with a screen, a keyboard, and a chair before it."""
        desk = self.wall(furniture.desk, walls)
        if desk < 0:
            return -1
        shape = furniture.office_chair if self.rng.random() < 0.75 else furniture.chair
        seat = self.make(shape)
        depth = -float(self.layout.placed[desk].shape.bounds()[0][1]) - float(seat.bounds()[0][1])
        for across, pulled in ((-0.2, 0.0), (0.2, 0.0), (0.0, 0.1), (0.0, 0.25)):
            turn = np.pi + float(self.rng.normal(0, 0.25))
            if self.counted(self.layout.before(seat, desk, depth + pulled - 0.05, across, turn)) >= 0:
                break
        if self.rng.random() < 0.75:
            across = float(self.rng.uniform(-0.3, 0.3))
            if self.on(things.monitor, desk, 0.0, (across, 0.85)) >= 0:
                self.on(things.keyboard, desk, float(self.rng.normal(0, 0.05)), (across * 0.8, -0.45))
        else:
            self.on(things.laptop, desk, float(self.rng.normal(0, 0.15)), (float(self.rng.uniform(-0.4, 0.4)), -0.2))
        return desk


def bin_or_basket(rng: Rng, style: Style) -> Shape:
    """A bin or a basket."""
    return furniture.bin_(rng, style) if rng.random() < 0.6 else furniture.basket(rng, style)


def living(d: Decorator) -> None:
    """A sofa, a low table on a rug, armchairs, a television opposite."""
    sofa = d.wall(furniture.sofa)
    if sofa >= 0:
        host = d.layout.placed[sofa]
        low = d.make(furniture.coffee_table)
        gap = float(d.rng.uniform(0.15, 0.35))
        if d.counted(d.layout.before(low, sofa, 0.82 + gap, 0.0, 0.0, 0.08)) >= 0:
            here = d.layout.placed[-1].position
            if d.chance(0.75):
                d.rug((here[0], here[1]), host.yaw)
            for side in (-1, 1):
                if d.chance(0.7):
                    seat = d.make(furniture.armchair)
                    d.counted(d.layout.before(seat, sofa, 0.95 + float(d.rng.uniform(0, 0.3)), side * 1.35,
                                              -side * np.pi / 2, 0.06))
        across = (round(-host.yaw / (np.pi / 2)) + 2) % 4
        stand = d.wall(furniture.tv_stand, [across])
        if stand >= 0 and d.chance(0.85):
            d.on(things.television, stand, 0.0, (0.0, 0.4))
        for _ in range(int(d.rng.integers(1, 4))):
            d.on(things.cushion, sofa, float(d.rng.normal(0, 0.1)), (float(d.rng.uniform(-0.95, 0.95)), 0.9))
    _some(d, (furniture.bookshelf, furniture.cabinet, furniture.bookshelf), (0.8, 0.5, 0.3))
    _corners(d, (furniture.floor_lamp, furniture.floor_plant, bin_or_basket), (0.75, 0.7, 0.3))


def bedroom(d: Decorator) -> None:
    """A bed between nightstands, a wardrobe, a dresser."""
    bed = d.wall(furniture.bed)
    if bed >= 0:
        host = d.layout.placed[bed]
        _, high = host.shape.bounds()
        design = int(d.rng.integers(2**31))
        for side in (-1, 1):
            if d.chance(0.8):
                stand = furniture.nightstand(np.random.default_rng(design), d.style)
                back = float(high[1] - stand.bounds()[1][1])
                at = d.counted(d.layout.before(stand, bed, -back, side * (high[0] + 0.32)))
                if at >= 0 and d.chance(0.75):
                    d.on(furniture.table_lamp, at, None)
        if d.chance(0.6):
            c, s = np.cos(host.yaw), np.sin(host.yaw)
            d.rug((host.position[0] + s * 1.0, host.position[1] - c * 1.0), host.yaw)
        if d.chance(0.5):
            d.on(things.cushion, bed, float(d.rng.normal(0, 0.3)))
    _some(d, (furniture.wardrobe, furniture.dresser, furniture.armchair), (0.85, 0.6, 0.45))
    if d.heavy_left and d.chance(0.45):
        d.desk_place()
    _corners(d, (furniture.stool, furniture.bag, bin_or_basket, furniture.floor_plant), (0.5, 0.5, 0.4, 0.3))


def office(d: Decorator) -> None:
    """One to three desks with screens and chairs, shelves, a bin."""
    for p in (1.0, 0.85, 0.4):
        if d.chance(p):
            d.desk_place()
    _some(d, (furniture.bookshelf, furniture.cabinet, furniture.bookshelf), (0.9, 0.6, 0.4))
    _corners(d, (bin_or_basket, furniture.floor_plant, furniture.bag, furniture.floor_lamp), (0.9, 0.6, 0.5, 0.3))


def dining(d: Decorator) -> None:
    """A table with chairs towards one end, cabinets along the walls."""
    x, y, _ = d.layout.size
    aside = float(d.rng.choice((-1, 1))) * 0.17
    middle = (x * (0.5 + (aside if x > y else 0.0)), y * (0.5 + (0.0 if x > y else aside)))
    table = d.counted(d.layout.in_open(d.make(furniture.table), middle, 0.15, np.pi / 2 if x > y else 0.0))
    d.chairs_at(table, furniture.chair, int(d.rng.integers(3, 7)))
    if d.chance(0.4):
        d.rug(middle, np.pi / 2 if x > y else 0.0)
    for maker in (things.bowl, things.cup, things.bottle, things.cup, things.vase):
        if d.chance(0.6):
            d.on(maker, table, None)
    _some(d, (furniture.cabinet, furniture.dresser, furniture.bookshelf), (0.9, 0.6, 0.45))
    _corners(d, (furniture.floor_plant, furniture.stool, bin_or_basket, furniture.floor_lamp), (0.6, 0.5, 0.3, 0.4))


def study(d: Decorator) -> None:
    """A bed, a desk, shelves; toys where a child lives."""
    bed = d.wall(furniture.bed)
    d.desk_place()
    _some(d, (furniture.bookshelf, furniture.wardrobe, furniture.nightstand), (0.9, 0.6, 0.5))
    if d.chance(0.6):
        x, y, _ = d.layout.size
        d.rug((x / 2, y / 2), 0.0)
    if bed >= 0 and d.chance(0.4):
        d.on(things.cushion, bed, float(d.rng.normal(0, 0.3)))
    for maker in (things.ball, things.toy_car, things.box_, things.ball, things.toy_car):
        if d.chance(0.5):
            d.counted(d.layout.in_open(d.make(maker), None))
    _corners(d, (furniture.bag, furniture.stool, bin_or_basket, furniture.floor_plant), (0.5, 0.5, 0.5, 0.3))


BARE = 8
"""Fewer things on the floor than this leave a room bare."""
RECIPES: tuple[Recipe, ...] = (living, bedroom, office, dining, study)

ON_TABLE: tuple[Maker, ...] = (things.cup, things.bowl, things.book, things.bottle, things.vase, things.small_plant)
ON_CHEST: tuple[Maker, ...] = (things.vase, furniture.table_lamp, things.small_plant, things.books, things.box_,
                               things.bowl, things.book, things.ball)
ON_SHELF: tuple[Maker, ...] = (things.books, things.books, things.books, things.box_, things.vase, things.small_plant,
                               things.bowl, things.ball, things.toy_car, things.bottle)
ON_DESK: tuple[Maker, ...] = (things.cup, things.book, things.books, things.bottle, furniture.table_lamp, things.cup)


def _some(d: Decorator, makers: Sequence[Maker], chances: Sequence[float]) -> None:
    for maker, p in zip(makers, chances, strict=True):
        if d.heavy_left and d.chance(p):
            d.wall(maker)


def _corners(d: Decorator, makers: Sequence[Maker], chances: Sequence[float]) -> None:
    for maker, p in zip(makers, chances, strict=True):
        if d.left > 0.35 * d.total and d.chance(p) and d.wall(maker, corner=True) < 0:
            d.wall(maker)


def fill_walls(d: Decorator) -> None:
    """Something for the emptiest walls of a room that is still bare."""
    layout = d.layout
    makers = (furniture.cabinet, furniture.bookshelf, furniture.dresser, furniture.armchair, furniture.floor_plant)
    for k in d.rng.permutation(len(makers)):
        standing = [p for p in layout.placed if p.relation == "floor" and p.shape.name != "rug"]
        if len(standing) >= BARE or d.left < 0.45 * d.total:
            return
        taken = np.zeros(4)
        for p in standing:
            low, high = p.low(), p.high()
            gaps = np.array([layout.size[1] - high[1], layout.size[0] - high[0], low[1], low[0]])
            taken += np.where(gaps < 0.8, (high - low)[[0, 1, 0, 1]], 0) / [layout.wall_length(w) for w in range(4)]
        d.wall(makers[int(k)], [int(np.argmin(taken))])


def flat_things(d: Decorator) -> None:
    """What geometry alone cannot see: pictures, posters, a clock."""
    for maker, p, low, high in (
        (things.picture, 0.95, 1.25, 1.5), (things.poster, 0.7, 1.0, 1.25), (things.clock, 0.5, 1.6, 1.85),
        (things.picture, 0.5, 1.25, 1.5), (things.poster, 0.35, 1.0, 1.25),
    ):
        if d.chance(p):
            d.counted(d.layout.hang(d.make(maker), low, high))


def small_things(d: Decorator) -> None:
    """Fill up with things on tables, chests, shelves; then boxes and balls on the floor."""
    hosts = [k for k, p in enumerate(d.layout.placed) if p.shape.surfaces and p.shape.name not in ("sofa", "armchair")]
    if "bed" in {d.layout.placed[k].shape.name for k in hosts} and len(hosts) > 1:
        hosts = [k for k in hosts if d.layout.placed[k].shape.name != "bed"]
    misses = 0
    while hosts and d.left > 0 and misses < 12:
        weights = np.array([3.0 if d.layout.placed[k].shape.name == "bookshelf" else 1.0 for k in hosts])
        host = int(d.rng.choice(hosts, p=weights / weights.sum()))
        name = d.layout.placed[host].shape.name
        makers = {"bookshelf": ON_SHELF, "desk": ON_DESK, "table": ON_TABLE, "coffee table": ON_TABLE}.get(
            name, ON_CHEST)
        maker = makers[int(d.rng.integers(len(makers)))]
        facing = 0.0 if maker is things.books else None
        misses += d.on(maker, host, facing) < 0
    for _ in range(3):
        if d.left > 0 and d.rng.random() < 0.4:
            maker = (things.box_, things.ball, furniture.bag, bin_or_basket)[int(d.rng.integers(4))]
            d.wall(maker)
