"""Mapped rooms -> what the bundled models learn from: crops with true and false phrases, questions with their answers.

Pictures and facts are made by the functions of `describe/`, prompts by those of `label/`, on maps that the method
itself made: what is learnt is what will be asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from safetensors.numpy import load_file
from torch import Tensor

from seg3r.describe.best_views import best_views
from seg3r.describe.crops import contoured, faded
from seg3r.describe.facts import COLORS, Thing, survey, tell
from seg3r.errors import InputError
from seg3r.files import write_json, write_tensors
from seg3r.label.prompts import (
    describing_answer,
    describing_prompt,
    fits_answer,
    fits_prompt,
    naming_answer,
    naming_prompt,
)
from seg3r.rooms import CLASSES, STRUCTURAL, ObjectInfo, build_room
from seg3r.rooms.language import KINDS, PHRASES, Kind, Question, plural, questions
from seg3r.train.data.room_maps import is_mapped, load_room
from seg3r.train.data.samples import ChatSample, RegionSample, WordSample

VIEWS_EACH = 3
"""Best views stored of each instance."""
CONTOURED_PX, FADED_PX = 96, 72
"""Longest side of a stored picture."""
NAMES = tuple(name for name in CLASSES[1:] if name not in STRUCTURAL)
NOTHING = "nothing"
MOST_CHOICES = 20
"""Names in a closed list at most: longer ones are shortened first."""
Picture = UInt8[Tensor, "_ _ 3"]


@dataclass(frozen=True, eq=False)
class SeenRoom:
    """One mapped room, ready to be asked about."""

    things: tuple[Thing, ...]
    """Facts of each instance."""
    objects: tuple[ObjectInfo | None, ...]
    """What each instance is; None = nothing."""
    contoured: tuple[tuple[Picture, ...], ...]
    """Best views of each instance, best first."""
    faded: tuple[tuple[Picture, ...], ...]
    questions: dict[Kind, tuple[Question, ...]]
    """About the things that were mapped."""


def see_rooms(seeds: Sequence[int], folder: Path, progress: Callable[[int, int], None] | None = None) -> list[SeenRoom]:
    """The mapped rooms of a folder, those of `seeds` that are there. The crops cut from them are stored beside them.

    Raises:
        InputError: none of them shows a thing.
    """
    crops = folder / "crops"
    crops.mkdir(exist_ok=True)
    rooms = []
    there = [seed for seed in seeds if is_mapped(seed, folder)]
    for done, seed in enumerate(there, 1):
        if not (crops / f"{seed}.json").is_file():
            _cut(seed, folder, crops)
        rooms.append(_seen(seed, crops))
        if progress is not None:
            progress(done, len(there))
    if not any(o is not None and views for room in rooms for o, views in zip(room.objects, room.faded, strict=True)):
        raise InputError(f"{folder}: none of {len(there)} mapped rooms shows a thing; map more of them")
    return rooms


def _cut(seed: int, folder: Path, crops: Path) -> None:
    """Cut the pictures of a room and survey it."""
    room = load_room(seed, folder)
    things, arrays = survey(room.scene), {}
    for n, instance_id in enumerate(room.scene.ids.tolist()):
        for v, sighting in enumerate(best_views(room.scene, instance_id, VIEWS_EACH)):
            arrays[f"{n}.{v}.contoured"] = _shrunk(contoured(sighting), CONTOURED_PX)
            arrays[f"{n}.{v}.faded"] = _shrunk(faded(sighting), FADED_PX)
    write_tensors(crops / f"{seed}.safetensors", arrays)
    facts = {"things": [asdict(t) for t in things], "is": [room.thing_of[i] for i in room.scene.ids.tolist()]}
    write_json(crops / f"{seed}.json", facts)


def _seen(seed: int, crops: Path) -> SeenRoom:
    facts: dict[str, Any] = json.loads((crops / f"{seed}.json").read_text())
    arrays = {name: torch.from_numpy(array) for name, array in load_file(crops / f"{seed}.safetensors").items()}
    room = build_room(seed)
    known = {o.id: o for o in room.objects}
    count = len(facts["things"])

    def views(kind: str) -> tuple[tuple[Picture, ...], ...]:
        return tuple(
            tuple(arrays[f"{n}.{v}.{kind}"] for v in range(VIEWS_EACH) if f"{n}.{v}.{kind}" in arrays)
            for n in range(count)
        )

    things = tuple(_thing(thing) for thing in facts["things"])
    asked = questions(room, {i for i in facts["is"] if i}, seed, per_kind=40)
    by_kind: dict[Kind, tuple[Question, ...]] = {k: tuple(q for q in asked if q.kind == k) for k in KINDS}
    return SeenRoom(things, tuple(known.get(i) for i in facts["is"]), views("contoured"), views("faded"), by_kind)


def _thing(values: dict[str, Any]) -> Thing:
    """Of the dictionary that `asdict` made of one: JSON knows no tuples."""
    fields: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
    return Thing(**fields)


def _shrunk(picture: Picture, longest: int) -> UInt8[np.ndarray, "h w 3"]:
    image = Image.fromarray(picture.numpy())
    if max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    return np.asarray(image).copy()


# ---- phrases ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phrase:
    """A phrase, and of what it is true: all that is given must hold."""

    text: str
    name: str | None = None
    color: str | None = None
    material: str | None = None
    use: str | None = None

    def fits(self, o: ObjectInfo | None) -> bool:
        """Whether it is true of a thing (None = nothing: no phrase is)."""
        return o is not None and (
            self.name in (None, o.name) and self.color in (None, o.color) and self.material in (None, o.material)
            and (self.use is None or self.use in o.attributes)
        )


def true_phrases(o: ObjectInfo, rng: np.random.Generator) -> list[Phrase]:
    """Some phrases of every kind that are true of a thing, worded as questions and labels are."""
    name, color, material = o.name, o.color, o.material
    several = plural(name, 2)
    plurals = [] if several != name and several in NAMES else [several]  # books are a class of their own: a row of them
    phrases = [Phrase(_one_of(rng, name, name, f"the {name}", f"a {name}", *(f"all {p}" for p in plurals)), name=name)]
    if color != "mixed":
        worded = _one_of(rng, f"{color} {name}", f"the {color} {name}", *(f"the {color} {p}" for p in plurals))
        phrases.append(Phrase(worded, name=name, color=color))
        phrases.append(Phrase(_one_of(rng, f"everything that is {color}", f"something {color}"), color=color))
    phrases.append(Phrase(_one_of(rng, f"everything made of {material}", f"made of {material}"), material=material))
    phrases += [Phrase(_one_of(rng, *PHRASES[use]), use=use) for use in o.attributes if use in PHRASES]
    return phrases


def near_misses(o: ObjectInfo, rng: np.random.Generator) -> list[Phrase]:
    """Phrases that are nearly true of a thing: another colour, another class of the same colour."""
    other = _one_of(rng, *(c for c in COLORS if c != o.color))
    name = _one_of(rng, *(n for n in NAMES if n != o.name))
    missed = [Phrase(f"the {other} {o.name}", name=o.name, color=other), Phrase(name, name=name)]
    if o.color != "mixed":
        missed.append(Phrase(f"the {o.color} {name}", name=name, color=o.color))
    use = _one_of(rng, *PHRASES)
    return [*missed, Phrase(_one_of(rng, *PHRASES[use]), use=use)]


def _one_of(rng: np.random.Generator, *options: str) -> str:
    return options[int(rng.integers(len(options)))]


@dataclass(frozen=True, eq=False)
class RegionBatches:
    """step -> crops, each with the truth of every phrase of the batch."""

    rooms: Sequence[SeenRoom]
    size: int = 48
    phrases: int = 96
    """Phrases a batch at most."""
    nothing: float = 0.05
    """Share of crops that show no thing."""
    seed: int = 0

    def __call__(self, step: int) -> list[RegionSample]:
        rng = np.random.default_rng([self.seed, 1, step])
        things, nothings = self._index
        picks = [
            nothings[int(rng.integers(len(nothings)))] if nothings and rng.random() < self.nothing
            else things[int(rng.integers(len(things)))] for _ in range(self.size)
        ]
        phrases: dict[str, Phrase] = {}
        for r, n in picks:
            o = self.rooms[r].objects[n]
            if o is not None:
                phrases |= {c.text: c for c in (*true_phrases(o, rng), *near_misses(o, rng))}
        chosen = [list(phrases.values())[i] for i in rng.permutation(len(phrases))[: self.phrases]]
        samples = []
        for r, n in picks:
            room, views = self.rooms[r], self.rooms[r].faded[n]
            true = [c.fits(room.objects[n]) for c in chosen]
            samples.append(RegionSample(
                views[int(rng.integers(len(views)))], tuple(c.text for c, t in zip(chosen, true, strict=True) if t),
                tuple(c.text for c, t in zip(chosen, true, strict=True) if not t),
            ))
        return samples

    @cached_property
    def _index(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        every = [(r, n) for r, room in enumerate(self.rooms) for n in range(len(room.objects)) if room.faded[n]]
        things = [(r, n) for r, n in every if self.rooms[r].objects[n] is not None]
        return things, [(r, n) for r, n in every if self.rooms[r].objects[n] is None]

    def text_batch(self, step: int, pairs: int = 48) -> list[tuple[str, str, bool]]:
        """Pairs of phrases, and whether what one is true of makes the other true: names with their uses, colours with
        what bears them."""
        rng = np.random.default_rng([self.seed, 2, step])
        things, _ = self._index
        made = []
        for _ in range(pairs):
            r, n = things[int(rng.integers(len(things)))]
            o = self.rooms[r].objects[n]
            assert o is not None
            if rng.random() < 0.5:
                phrases = true_phrases(o, rng)
                other = phrases[int(rng.integers(len(phrases)))]
            else:
                phrases = near_misses(o, rng)
                other = phrases[int(rng.integers(len(phrases)))]
            named = o.name if other.color is None or o.color == "mixed" else f"{o.color} {o.name}"
            if other.material is None:
                made.append((_one_of(rng, named, f"the {named}"), other.text, other.fits(o)))
        return made


@dataclass(frozen=True, eq=False)
class ChatBatches:
    """step -> questions about one outlined thing, and the answers."""

    rooms: Sequence[SeenRoom]
    size: int = 24
    naming: float = 0.22
    """Share of questions for a name from a list ..."""
    describing: float = 0.08
    """... and for colour and name in free words; the others ask whether the thing fits a question."""
    blind: float = 0.5
    """Share of the questions that come with facts alone: words are learnt sooner than pictures."""
    seed: int = 0

    def pictures(self, step: int, count: int = 64) -> list[WordSample]:
        """Pictures of things, each with its colour and name."""
        rng = np.random.default_rng([self.seed, 4, step])
        made: list[WordSample] = []
        while len(made) < count:
            room = self.rooms[int(rng.integers(len(self.rooms)))]
            n = int(rng.integers(max(1, len(room.objects))))
            if n < len(room.objects) and room.contoured[n]:
                o, views = room.objects[n], room.contoured[n]
                view = _mirrored(views[int(rng.integers(len(views)))], rng)
                made.append(WordSample(view, (NOTHING, NOTHING) if o is None else (o.color, o.name)))
        return made

    def __call__(self, step: int) -> list[ChatSample]:
        rng = np.random.default_rng([self.seed, 3, step])
        return [self._sample(rng) for _ in range(self.size)]

    def words(self, step: int, count: int = 48, easy: int = 600, grown: int = 2400) -> list[ChatSample]:
        """Whether a thing fits a question, by facts alone, without pictures; half of the answers are yes. Before a
        model sees that two words are the same it learns nothing from longer texts.

        Args:
            easy: for so many steps only questions that name the thing, described by a word or two.
            grown: from this step on all are asked, half of them by all the facts there are; up to it, more and more.
        """
        rng = np.random.default_rng([self.seed, 5, step])
        whole = 0.5 * min(1.0, max(0.0, (step - easy) / max(1, grown - easy)))
        made: list[ChatSample] = []
        while len(made) < count:
            room = self.rooms[int(rng.integers(len(self.rooms)))]
            known = [(n, o) for n, o in enumerate(room.objects) if o is not None]
            full = rng.random() < whole
            kinds: tuple[Kind, ...] = KINDS if full else ("attribute",) if step < easy else ("attribute", "function")
            asked = room.questions[kinds[int(rng.integers(len(kinds)))]]
            if not known or not asked:
                continue
            question = asked[int(rng.integers(len(asked)))]
            right = [(n, o) for n, o in known if o.id in question.answer_ids]
            n, o = known[int(rng.integers(len(known)))]
            if right and rng.random() < 0.5:
                n, o = right[int(rng.integers(len(right)))]
            color = o.color if rng.random() < 0.8 else room.things[n].color  # as a map would have it
            facts = tell(room.things, self._names(room, rng))[n] if full else f"{color} {o.name}."
            fits = o.id in question.answer_ids
            made.append(ChatSample(fits_prompt((), facts, question.text), fits_answer(fits)))
        return made

    def _sample(self, rng: np.random.Generator) -> ChatSample:
        room = self.rooms[int(rng.integers(len(self.rooms)))]
        shown = [n for n in range(len(room.objects)) if room.contoured[n]]
        if not shown:
            return self._sample(rng)
        drawn, n = rng.random(), shown[int(rng.integers(len(shown)))]
        if drawn < self.naming:
            return self._naming(room, n, rng)
        if drawn < self.naming + self.describing:
            o = room.objects[n]
            answer = describing_answer("mixed", None) if o is None else describing_answer(o.color, o.name)
            return ChatSample(describing_prompt(self._images(room, n, rng)), answer)
        return self._fits(room, shown, rng)

    def _images(self, room: SeenRoom, n: int, rng: np.random.Generator) -> tuple[Picture, ...]:
        views = room.contoured[n]
        return tuple(_mirrored(view, rng) for view in views[: int(rng.integers(1, len(views) + 1))])

    def _naming(self, room: SeenRoom, n: int, rng: np.random.Generator) -> ChatSample:
        o = room.objects[n]
        truth = None if o is None else o.name
        others = [name for name in NAMES if name != truth]
        choices = [others[i] for i in rng.permutation(len(others))[: int(rng.integers(4, MOST_CHOICES))]]
        if truth is not None and rng.random() < 0.9:
            choices.insert(int(rng.integers(len(choices) + 1)), truth)
        prompt = naming_prompt(self._images(room, n, rng), choices)
        return ChatSample(prompt, naming_answer(truth if truth in choices else None))

    def _fits(self, room: SeenRoom, shown: Sequence[int], rng: np.random.Generator) -> ChatSample:
        kind = KINDS[int(rng.integers(len(KINDS)))]
        asked = room.questions[kind]
        if not asked:
            return self._naming(room, shown[int(rng.integers(len(shown)))], rng)
        question = asked[int(rng.integers(len(asked)))]
        right = [n for n in shown if (o := room.objects[n]) is not None and o.id in question.answer_ids]
        n = shown[int(rng.integers(len(shown)))]
        if right and rng.random() < 0.5:
            n = right[int(rng.integers(len(right)))]
        elif right and rng.random() < 0.5:  # a near miss: of the same class as an answer
            names = {o.name for m in right if (o := room.objects[m]) is not None}
            alike = [m for m in shown if m not in right and (o := room.objects[m]) is not None and o.name in names]
            n = alike[int(rng.integers(len(alike)))] if alike else n
        facts = tell(room.things, self._names(room, rng))[n]
        images = () if rng.random() < self.blind else self._images(room, n, rng)
        return ChatSample(fits_prompt(images, facts, question.text), fits_answer(n in right))

    def _names(self, room: SeenRoom, rng: np.random.Generator) -> list[str | None]:
        """As a labeler would give them: mostly right; sometimes there are none."""
        if rng.random() < 0.15:
            return [None] * len(room.objects)
        wrong = rng.random() * 0.3
        return [
            None if o is None else _one_of(rng, *NAMES) if rng.random() < wrong else o.name for o in room.objects
        ]


def _mirrored(view: Picture, rng: np.random.Generator) -> Picture:
    """Every second one left for right: no name and no colour minds."""
    return view.flip(1) if rng.random() < 0.5 else view
