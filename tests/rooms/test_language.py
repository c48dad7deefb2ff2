"""Questions and answers."""

from __future__ import annotations

import numpy as np
import pytest

from seg3r.rooms import Question, Room, build_room, questions
from seg3r.rooms.language import KINDS, PHRASES

SEEDS = range(8)


@pytest.fixture(scope="module")
def asked() -> list[tuple[Room, list[Question]]]:
    return [(build_room(seed), questions(build_room(seed), per_kind=200)) for seed in SEEDS]


def test_every_kind_with_none_one_and_many(asked: list[tuple[Room, list[Question]]]) -> None:
    for kind in KINDS:
        counts = {min(2, len(q.answer_ids)) for _, all_ in asked for q in all_ if q.kind == kind}
        assert counts == {0, 1, 2}, kind


def test_answers_are_things_of_the_room(asked: list[tuple[Room, list[Question]]]) -> None:
    for room, all_ in asked:
        ids = {o.id for o in room.objects}
        texts = [q.text for q in all_]
        assert len(texts) == len(set(texts))
        for q in all_:
            assert set(q.answer_ids) <= ids and list(q.answer_ids) == sorted(set(q.answer_ids)) and q.text


def test_attributes(asked: list[tuple[Room, list[Question]]]) -> None:
    """'the red chair' names exactly the red chairs."""
    checked = 0
    for room, all_ in asked:
        truth = {f"the {o.color} {o.name}" for o in room.objects}
        for q in all_:
            if q.kind == "attribute" and q.text in truth:
                mine = tuple(o.id for o in room.objects if f"the {o.color} {o.name}" == q.text)
                assert q.answer_ids == mine
                checked += 1
    assert checked > 20


def test_functions(asked: list[tuple[Room, list[Question]]]) -> None:
    sit = set(PHRASES["sit"])
    for room, all_ in asked:
        for q in all_:
            if q.text in sit:
                names = {o.name for o in room.objects if o.id in q.answer_ids}
                assert names <= {"chair", "office chair", "armchair", "stool", "sofa", "bed"}
                missing = [o.name for o in room.objects if o.id not in q.answer_ids]
                assert not {"chair", "sofa", "stool"} & set(missing)
    every = {use for room, _ in asked for o in room.objects for use in o.attributes}
    assert every <= set(PHRASES)


def test_relations(asked: list[tuple[Room, list[Question]]]) -> None:
    """What something stands on lies under it; the nearest is nearest."""
    stands = nearest = 0
    for room, all_ in asked:
        by_id = {o.id: o for o in room.objects}
        for q in all_:
            if q.text.startswith("What does ") and q.text.endswith("stand on?"):
                host = by_id[q.answer_ids[0]]
                name = q.text.removeprefix("What does the ").removesuffix(" stand on?")
                held = [o for o in room.objects if o.support == host.id and name.endswith(o.name)]
                assert held
                stands += 1
            if " nearest to " in q.text:
                name, other = q.text.removeprefix("the ").split(" nearest to the ")
                some = [o for o in room.objects if o.name == name]
                to = [o for o in room.objects if other in (o.name, f"{o.color} {o.name}")]
                assert len(to) == 1
                gaps = [float(np.linalg.norm(np.subtract(o.center, to[0].center))) for o in some]
                assert some[int(np.argmin(gaps))].id == q.answer_ids[0]
                nearest += 1
    assert stands > 5 and nearest > 5


def test_only_what_is_visible() -> None:
    room = build_room(2)
    visible = {o.id for o in room.objects[::2]}
    for q in questions(room, visible, per_kind=100):
        assert set(q.answer_ids) <= visible
    assert all(not q.answer_ids for q in questions(room, ()))


def test_seeded_and_limited() -> None:
    room = build_room(2)
    assert questions(room, seed=1) == questions(room, seed=1) != questions(room, seed=2)
    counts = [sum(q.kind == kind for q in questions(room, per_kind=6)) for kind in KINDS]
    assert max(counts) <= 6 and min(counts) >= 4
