"""What the bundled models learn from: a room mapped in a moment, and phrases about it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r.describe.crops import contoured
from seg3r.describe.facts import Thing
from seg3r.label.prompts import read_fits, read_name
from seg3r.rooms import ObjectInfo, build_room
from seg3r.rooms.language import KINDS, Question
from seg3r.train.data import room_views
from seg3r.train.data.room_maps import load_room, map_room, save_room
from seg3r.train.data.room_views import (
    CONTOURED_PX,
    FADED_PX,
    MOST_CHOICES,
    NAMES,
    ChatBatches,
    Phrase,
    RegionBatches,
    SeenRoom,
    near_misses,
    see_rooms,
    true_phrases,
)
from seg3r.train.data.samples import ChatSample

SEED = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    room = map_room(SEED, "truth", frames=16, size=(120, 160))
    nothing = max(room.thing_of)  # one that is no thing, as a wall would be
    save_room(dataclasses.replace(room, thing_of=room.thing_of | {nothing: 0}), folder)
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> SeenRoom:
    (room,) = see_rooms([SEED, SEED + 1], folder)  # the second is not mapped
    return room


def test_a_seen_room_says_of_each_instance_what_it_is(seen: SeenRoom, folder: Path) -> None:
    mapped, truth = load_room(SEED, folder), {o.id: o for o in build_room(SEED).objects}
    ids = mapped.scene.ids.tolist()
    assert len(ids) == len(seen.things) == len(seen.objects) == len(seen.contoured) == len(seen.faded) > 5
    assert seen.objects == tuple(truth.get(mapped.thing_of[i]) for i in ids)
    assert seen.objects.count(None) == 1
    for n in range(len(ids)):
        assert 1 <= len(seen.contoured[n]) == len(seen.faded[n]) <= room_views.VIEWS_EACH
        assert all(max(p.shape[:2]) <= CONTOURED_PX for p in seen.contoured[n])
        assert all(max(p.shape[:2]) <= FADED_PX for p in seen.faded[n])
    small = next(n for n, i in enumerate(ids) if max(contoured(mapped.scene.sightings[i][0]).shape[:2]) <= CONTOURED_PX)
    pictures = [contoured(sighting) for sighting in mapped.scene.sightings[ids[small]]]
    assert any(p.shape == seen.contoured[small][0].shape and torch.equal(p, seen.contoured[small][0]) for p in pictures)
    there = {o.id for o in seen.objects if o is not None}
    assert all(set(q.answer_ids) <= there and q.kind == kind for kind in KINDS for q in seen.questions[kind])


def test_what_was_cut_is_kept_beside_the_maps(
    seen: SeenRoom, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(room_views, "load_room", never)
    ticks: list[tuple[int, int]] = []
    (again,) = see_rooms([SEED], folder, lambda done, total: ticks.append((done, total)))
    assert ticks == [(1, 1)]
    assert (again.things, again.objects, again.questions) == (seen.things, seen.objects, seen.questions)
    for a, b in ((again.contoured, seen.contoured), (again.faded, seen.faded)):
        assert all(torch.equal(p, q) for x, y in zip(a, b, strict=True) for p, q in zip(x, y, strict=True))


def thing(**changes: object) -> ObjectInfo:
    corner = (0.0, 0.0, 0.0)
    base = ObjectInfo(1, "chair", "red", "wood", (1.0, 1.0, 1.0), corner, (corner, corner), 0, "floor", ("sit",))
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("o", [thing(), thing(color="mixed"), thing(name="books", attributes=("read", "no such use"))])
def test_phrases_hold_and_near_misses_mostly_do_not(o: ObjectInfo) -> None:
    for draw in range(30):
        rng = np.random.default_rng(draw)
        said = true_phrases(o, rng)
        assert said and all(phrase.fits(o) and not phrase.fits(None) for phrase in said)
        assert o.color != "mixed" or not any("mixed" in phrase.text for phrase in said)
        missed = near_misses(o, rng)
        assert not any(phrase.fits(o) for phrase in missed[:-1])  # the last is of a use, which may be its own
        assert missed[0].name == o.name and missed[0].color not in (None, o.color)


def test_a_phrase_means_one_thing_whoever_says_it() -> None:
    """`all books` is said of a book; the class `books` (a row of them) must not take the same words for itself."""
    meant: dict[str, set[Phrase]] = {}
    rng = np.random.default_rng(0)
    for name in NAMES:
        for _ in range(30):
            for phrase in (*true_phrases(thing(name=name), rng), *near_misses(thing(name=name), rng)):
                meant.setdefault(phrase.text, set()).add(phrase)
    assert {text: phrases for text, phrases in meant.items() if len(phrases) > 1} == {}


def test_every_phrase_of_a_batch_is_judged_for_every_crop(seen: SeenRoom) -> None:
    batches = RegionBatches([seen], size=12, phrases=30, nothing=0.3)
    samples = [sample for step in range(4) for sample in batches(step)]
    assert len(samples) == 48
    for step in range(4):
        said = [(frozenset(s.true), frozenset(s.false)) for s in batches(step)]
        assert len({true | false for true, false in said}) == 1
        assert all(not true & false and len(true | false) <= 30 for true, false in said)
    by_picture = {id(p): o for o, views in zip(seen.objects, seen.faded, strict=True) for p in views}
    shown = [by_picture[id(s.image)] for s in samples]
    assert None in shown
    for o, sample in zip(shown, samples, strict=True):
        if o is None:
            assert not sample.true
            continue
        assert o.name in sample.true or o.name not in sample.false
        assert f"the {o.color} {o.name}" not in sample.false
        for name in NAMES:
            assert name == o.name or name not in sample.true
    assert sum(bool(s.true) for s in samples) > 20


def test_the_same_step_gives_the_same_and_another_seed_another(seen: SeenRoom) -> None:
    for batches, other in (
        (RegionBatches([seen], seed=1), RegionBatches([seen], seed=2)),
        (ChatBatches([seen], seed=1), ChatBatches([seen], seed=2)),
    ):
        told = [repr(batches(step)) for step in (3, 4, 3)]
        assert told[0] == told[2] != told[1] and repr(other(3)) != told[0]
    pairs = RegionBatches([seen], seed=1)
    assert pairs.text_batch(5) == pairs.text_batch(5) != pairs.text_batch(6)


def test_pairs_of_phrases_agree_with_the_room(seen: SeenRoom) -> None:
    pairs = [pair for step in range(20) for pair in RegionBatches([seen]).text_batch(step)]
    by_name = {o.name: o for o in seen.objects if o is not None}
    for first, second, agree in pairs:
        assert first.removeprefix("the ").split()[-1] in {name.split()[-1] for name in by_name}
        if second in NAMES:
            assert agree == first.endswith(second)
    assert 0.3 < sum(agree for _, _, agree in pairs) / len(pairs) < 0.8


def who(seen: SeenRoom) -> dict[bytes, int]:
    """Which instance a picture shows, also in the mirror."""
    pictures = [(n, p) for n, views in enumerate(seen.contoured) for p in views]
    return {q.contiguous().numpy().tobytes(): n for n, p in pictures for q in (p, p.flip(1))}


def shown(sample: ChatSample, known: dict[bytes, int]) -> int:
    (n,) = {known[image.contiguous().numpy().tobytes()] for image in sample.prompt.images}
    return n


def test_prompts_ask_what_models_are_asked_and_the_answers_are_right(seen: SeenRoom) -> None:
    samples = [sample for step in range(25) for sample in ChatBatches([seen], blind=0.0)(step)]
    known, by_text = who(seen), {q.text: q for kind in KINDS for q in seen.questions[kind]}
    kinds = {"name": 0, "color": 0, "fits": 0}
    said: dict[bool, int] = {True: 0, False: 0}
    names: dict[bool, int] = {True: 0, False: 0}
    asked: set[str] = set()
    for sample in samples:
        assert 1 <= len(sample.prompt.images) <= room_views.VIEWS_EACH
        n = shown(sample, known)
        o, answer = seen.objects[n], json.loads(sample.answer)
        first = next(iter(answer))
        kinds[first] += 1
        if first == "name":
            choices = sample.prompt.text.split("Choose from: ")[1].split(". Answer as")[0].split(", ")
            assert 4 <= len(choices) == len(set(choices)) <= MOST_CHOICES and set(choices) <= set(NAMES)
            assert read_name(sample.answer, choices) == (o.name if o is not None and o.name in choices else None)
            names[answer["name"] is None] += 1
        elif first == "color":
            assert (answer["color"], answer["name"]) == (("mixed", None) if o is None else (o.color, o.name))
        else:
            question: Question = by_text[sample.prompt.text.split("Question: ")[1].split(" Is the outlined")[0]]
            asked.add(question.kind)
            assert read_fits(sample.answer) is (o is not None and o.id in question.answer_ids)
            assert size_told(seen.things[n]) in sample.prompt.text
            said[answer["fits"]] += 1
    assert asked == set(KINDS)
    assert 0.2 < kinds["name"] / len(samples) < 0.4 and kinds["fits"] / len(samples) > 0.4
    assert 0.3 < said[True] / (said[True] + said[False]) < 0.6
    assert 0.05 < names[True] / (names[True] + names[False]) < 0.4


def size_told(thing: Thing) -> str:
    w, d, h = (round(100 * x) for x in thing.size_m)
    return f", {max(w, d)} x {min(w, d)} x {h} cm"


def test_without_pictures_the_facts_say_what_is_asked_about(seen: SeenRoom) -> None:
    samples = [sample for step in range(10) for sample in ChatBatches([seen], blind=1.0)(step)]
    fits = [sample for sample in samples if "Question:" in sample.prompt.text]
    assert len(fits) > 80 and all(s.prompt.images for s in samples if s not in fits)
    by_text = {q.text: q for kind in KINDS for q in seen.questions[kind]}
    for sample in fits:
        assert sample.prompt.images == ()
        facts, rest = sample.prompt.text.split("Outlined: ")[1].split(" Question: ")
        right = by_text[rest.split(" Is the outlined")[0]].answer_ids
        possible = [o for thing, o in zip(seen.things, seen.objects, strict=True) if size_told(thing) in facts]
        assert read_fits(sample.answer) in [o is not None and o.id in right for o in possible]


def test_pictures_come_with_colour_and_name_of_what_they_show(seen: SeenRoom) -> None:
    batches, known = ChatBatches([seen]), who(seen)
    pictures = batches.pictures(0, 200)
    assert len(pictures) == 200 and repr(batches.pictures(0, 200)) == repr(pictures) != repr(batches.pictures(1, 200))
    drawn = set()
    for picture in pictures:
        n = known[picture.image.contiguous().numpy().tobytes()]
        o = seen.objects[n]
        assert picture.words == ((room_views.NOTHING, room_views.NOTHING) if o is None else (o.color, o.name))
        drawn.add(n)
    assert drawn == {n for n, views in enumerate(seen.contoured) if views}


def test_nothing_is_drawn_from_what_shows_nothing(seen: SeenRoom) -> None:
    blind = dataclasses.replace(seen, contoured=((),) * len(seen.things), faded=((),) * len(seen.things))
    known = who(seen)
    assert all(shown(sample, known) >= 0 for sample in ChatBatches([blind, seen], size=10, blind=0.0)(0))
    assert len(ChatBatches([blind, seen]).pictures(0, 10)) == 10
    assert len(RegionBatches([blind, seen], size=10)(0)) == 10


def test_a_room_without_instances_is_passed_over(seen: SeenRoom) -> None:
    bare = SeenRoom((), (), (), (), dict.fromkeys(KINDS, ()))
    known = who(seen)
    assert all(shown(sample, known) >= 0 for sample in ChatBatches([bare, seen], size=10, blind=0.0)(0))
    assert len(ChatBatches([bare, seen]).pictures(0, 10)) == 10
    assert len(RegionBatches([bare, seen], size=10)(0)) == 10
