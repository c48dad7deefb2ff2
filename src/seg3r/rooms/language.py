"""Questions about a room and their answers: by attribute, by relation, by function; with none, one or many answers.

Relations do not depend on where one stands: on, next to, nearest to, largest, what something stands on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seg3r.rooms.classes import CLASSES, STRUCTURAL
from seg3r.rooms.room import QUESTION_STREAM, ObjectInfo, Room
from seg3r.rooms.texture import COLORS

Kind = Literal["attribute", "relation", "function"]
KINDS: tuple[Kind, ...] = ("attribute", "relation", "function")

BESIDE_M = 0.35
"""Next to each other: boxes no farther apart than this, on the same support."""
CLEARLY = 1.15
"""Nearest and largest must win by this factor."""


@dataclass(frozen=True)
class Question:
    """A question and the ids of all things that answer it, ascending; () when there is none."""

    text: str
    kind: Kind
    answer_ids: tuple[int, ...]


PHRASES: dict[str, tuple[str, ...]] = {
    "sit": ("something to sit on", "Where can I sit down?"),
    "lie": ("Where can I lie down?", "something to sleep on"),
    "put on": ("Where can I put down a tray?", "something with a flat top to put things on"),
    "eat at": ("Where can several people eat a meal?",),
    "work at": ("What do I need to write an email?", "something to work at"),
    "store in": ("Where can I put things away?", "something to keep things in"),
    "throw in": ("Where do I throw away waste paper?", "something for rubbish"),
    "carry": ("What can I carry my things in?",),
    "water": ("What needs watering?", "something that is alive"),
    "light": ("What gives light at night?", "It is dark; what should I switch on?"),
    "drink": ("What can I drink from?", "something to drink from"),
    "eat from": ("What can I eat cereal from?",),
    "put flowers in": ("What can I put flowers in?",),
    "read": ("What can I read?", "something to read"),
    "look at": ("something to look at",),
    "type on": ("What do I type on?",),
    "rest the head on": ("something soft to rest the head on",),
    "play with": ("What can a child play with?", "something to play with"),
    "walk on": ("What keeps bare feet warm on the floor?",),
    "tell the time": ("What tells the time?", "How late is it? Where do I look?"),
    "leave through": ("How do I leave the room?",),
    "look out of": ("Where can I look outside?",),
    "darken the room with": ("What do I draw to darken the room?",),
}
"""What a thing is good for -> how one asks for it."""


def questions(
    room: Room, visible_ids: Collection[int] | None = None, seed: int = 0, per_kind: int = 8
) -> list[Question]:
    """Questions about the visible things, at most `per_kind` of each kind, about a quarter without an answer.

    Args:
        room: what is asked about.
        visible_ids: only these instances count (None: all).
        seed: of the choice.
        per_kind: at most.
    """
    rng = np.random.default_rng([room.seed, QUESTION_STREAM, seed])
    things = [o for o in room.objects if visible_ids is None or o.id in visible_ids]
    makers: dict[Kind, Callable[[Sequence[ObjectInfo], np.random.Generator], list[Question]]] = {
        "attribute": _by_attribute, "relation": _by_relation, "function": _by_function,
    }
    chosen: list[Question] = []
    for kind in KINDS:
        asked: dict[str, set[int]] = {}
        for q in makers[kind](things, rng):  # "all books" asks for every book and every row of books
            asked.setdefault(q.text, set()).update(q.answer_ids)
        pool = [Question(text, kind, tuple(sorted(ids))) for text, ids in asked.items()]
        empty = [q for q in pool if not q.answer_ids]
        full = [q for q in pool if q.answer_ids]
        few = min(len(empty), max(1, per_kind // 4), per_kind)
        picked = [full[i] for i in rng.permutation(len(full))[: per_kind - few]]
        picked += [empty[i] for i in rng.permutation(len(empty))[:few]]
        chosen += picked
    return chosen


def _ids(things: Sequence[ObjectInfo]) -> tuple[int, ...]:
    return tuple(sorted(o.id for o in things))


def _by_attribute(things: Sequence[ObjectInfo], rng: np.random.Generator) -> list[Question]:
    made = []
    names = {o.name for o in things}
    for o in things:
        same = [p for p in things if p.name == o.name]
        made.append(Question(all_of(o.name, len(same)), "attribute", _ids(same)))
        if o.color != "mixed":
            alike = [p for p in same if p.color == o.color]
            made.append(Question(f"the {o.color} {plural(o.name, len(alike))}", "attribute", _ids(alike)))
            color = [p for p in things if p.color == o.color]
            made.append(Question(f"everything that is {o.color}", "attribute", _ids(color)))
        material = [p for p in things if p.material == o.material]
        made.append(Question(f"everything made of {o.material}", "attribute", _ids(material)))
        other = str(rng.choice(list(COLORS)))
        if o.color != "mixed" and all(p.color != other for p in same):
            made.append(Question(f"the {other} {o.name}", "attribute", ()))
    absent = [c for c in CLASSES[1:] if c not in names and c not in STRUCTURAL]
    made += [Question(f"the {c}", "attribute", ()) for c in absent]
    return made


def _by_relation(things: Sequence[ObjectInfo], rng: np.random.Generator) -> list[Question]:
    made = []
    by_id = {o.id: o for o in things}
    unique = {o.id: name for o in things if (name := _unique(o, things)) is not None}
    for o in things:
        held = [p for p in things if p.support == o.id]
        if o.id in unique:
            if o.relation == "on" and o.support in by_id:
                made.append(Question(f"What does {unique[o.id]} stand on?", "relation", (o.support,)))
            if held or o.name in ("table", "desk", "bookshelf", "coffee table", "bed", "sofa"):
                made.append(Question(f"everything on {unique[o.id]}", "relation", _ids(held)))
            beside = [p for p in things if p.id != o.id and p.support == o.support and p.relation == o.relation
                      and o.name != "rug" and p.name != "rug" and _gap(o, p) <= BESIDE_M]
            if o.relation in ("floor", "on"):
                made.append(Question(f"What stands next to {unique[o.id]}?", "relation", _ids(beside)))
            for name in sorted({p.name for p in held}):
                some = [p for p in held if p.name == name]
                made.append(Question(f"the {plural(name, len(some))} on {unique[o.id]}", "relation", _ids(some)))
            absent = [n for n in ("cup", "book", "ball", "vase") if all(p.name != n for p in held)]
            if held and absent:
                made.append(Question(f"the {absent[int(rng.integers(len(absent)))]} on {unique[o.id]}", "relation", ()))
            for name in sorted({p.name for p in things if p.name != o.name}):
                some = [p for p in things if p.name == name]
                if len(some) > 1 and (near := _winner(some, [_distance(o, p) for p in some])):
                    made.append(Question(f"the {name} nearest to {unique[o.id]}", "relation", (near.id,)))
    for name in sorted({o.name for o in things}):
        some = [o for o in things if o.name == name]
        if len(some) > 1:
            volume = [1 / max(1e-9, float(np.prod(np.maximum(o.size, 0.01)))) for o in some]
            if (big := _winner(some, volume)) is not None:
                made.append(Question(f"the largest {name}", "relation", (big.id,)))
    walls = [o for o in things if o.relation == "wall" and o.name not in ("door", "window", "curtain")]
    made.append(Question("What hangs on the walls?", "relation", _ids(walls)))
    return made


def _by_function(things: Sequence[ObjectInfo], rng: np.random.Generator) -> list[Question]:
    made = []
    for use, phrases in PHRASES.items():
        text = phrases[int(rng.integers(len(phrases)))]
        made.append(Question(text, "function", _ids([o for o in things if use in o.attributes])))
    return made


def _unique(o: ObjectInfo, things: Sequence[ObjectInfo]) -> str | None:
    """A name that fits only this thing, if there is one."""
    same = [p for p in things if p.name == o.name]
    if len(same) == 1:
        return f"the {o.name}"
    if o.color != "mixed" and sum(p.color == o.color for p in same) == 1:
        return f"the {o.color} {o.name}"
    return None


def _winner(things: Sequence[ObjectInfo], costs: Sequence[float]) -> ObjectInfo | None:
    """The cheapest, if it is so clearly."""
    order = np.argsort(costs)
    return things[int(order[0])] if costs[order[1]] > CLEARLY * costs[order[0]] else None


def _distance(a: ObjectInfo, b: ObjectInfo) -> float:
    return float(np.linalg.norm(np.subtract(a.center, b.center)))


def _gap(a: ObjectInfo, b: ObjectInfo) -> float:
    """Between two boxes seen from above."""
    x, y = (max(0.0, a.box[0][k] - b.box[1][k], b.box[0][k] - a.box[1][k]) for k in range(2))
    return math.hypot(x, y)


def plural(name: str, count: int) -> str:
    if count < 2 or name == "books":
        return name
    if name.endswith("shelf"):
        return name[:-1] + "ves"
    return name + ("es" if name.endswith(("ch", "x", "s")) else "s")


def all_of(name: str, count: int) -> str:
    return f"the {name}" if count == 1 else f"all {plural(name, 2)}"
