"""Questions about rooms, and how answers are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from seg3r.datasets.rooms import TrueRoom, true_rooms
from seg3r.datasets.truth import Truth
from seg3r.evaluate.questions import MappedQuestions, _mapped, measure_questions, phrase_ap
from seg3r.label.prompts import same_name
from seg3r.label.votes import Votes
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.presets.bundled import Bundled
from seg3r.protocols import Answerer
from seg3r.rooms.language import KINDS, Question
from seg3r.scene import SceneMap
from seg3r.types import Answer
from tests.maps import table_map

PARTS = 1000
"""Vertices of each thing."""
THINGS = np.repeat([1007, 2008, 2009, 0], PARTS)
"""Two classes, three things, and what nobody annotated."""
ANSWER = Question("the things of class 2", "attribute", (8, 9))


def asked(*lists: Sequence[int] | np.ndarray) -> MappedQuestions:
    """Instances that own these vertices."""
    count = len(lists)
    masks = ScenePrediction.from_lists(
        [np.asarray(each, np.int64) for each in lists], len(THINGS), np.ones(count, np.int64), np.full(count, 0.5)
    )
    truth = Truth(np.zeros((len(THINGS), 3), np.float32), THINGS.astype(np.int64))
    return MappedQuestions(table_map(), (ANSWER,), (7, 8, 9), masks, truth, np.full(len(THINGS), -1))


def ap_of(
    asked: MappedQuestions, question: Question, rows: Sequence[int], scores: Sequence[float]
) -> tuple[float, float, float]:
    """Where these instances are named."""
    lists = asked.masks.lists()
    return phrase_ap(asked, question, [lists[row] for row in rows], scores)


def thing(number: int) -> np.ndarray:
    return np.flatnonzero(number == THINGS % 1000)


WHOLE = asked(thing(7), thing(8), thing(9))


def test_exactly_the_right_things_are_worth_one() -> None:
    assert ap_of(WHOLE, ANSWER, (1, 2), (0.9, 0.8)) == pytest.approx((1, 1, 1))
    assert ap_of(WHOLE, ANSWER, (2, 1), (0.9, 0.8)) == pytest.approx((1, 1, 1))
    assert ap_of(WHOLE, Question("?", "function", (7,)), (0,), (0.6,)) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize("rows", [(), (0,)])
def test_silence_and_the_wrong_thing_are_worth_nothing(rows: tuple[int, ...]) -> None:
    assert ap_of(WHOLE, ANSWER, rows, (0.9,) * len(rows)) == (0, 0, 0)


def test_half_of_the_answer_is_worth_half() -> None:
    half = ap_of(WHOLE, ANSWER, (1,), (0.9,))
    assert half == pytest.approx((0.5, 0.5, 0.5), abs=0.01)


def test_a_wrong_thing_costs_most_where_it_is_named_first() -> None:
    first = ap_of(WHOLE, ANSWER, (0, 1, 2), (0.9, 0.8, 0.7))
    last = ap_of(WHOLE, ANSWER, (1, 2, 0), (0.9, 0.8, 0.7))
    assert 0 < first[0] < last[0] == pytest.approx(1)
    nobody = asked(thing(0), thing(8), thing(9))  # a mask of what nobody annotated is as wrong
    assert ap_of(nobody, ANSWER, (0, 1, 2), (0.9, 0.8, 0.7)) == pytest.approx(first)


def test_a_mask_counts_by_how_well_it_lies() -> None:
    one = Question("the thing", "relation", (8,))
    ap, ap50, ap25 = ap_of(asked(thing(8)[:700]), one, (0,), (0.9,))
    assert ap50 == ap25 == 1 and ap == pytest.approx(4 / 9)  # 0.5, 0.55, 0.6, 0.65 of 0.5 ... 0.9
    assert ap_of(asked(thing(8)[:350]), one, (0,), (0.9,)) == (0, 0, 1)
    assert ap_of(asked(thing(8)[:200]), one, (0,), (0.9,)) == (0, 0, 0)
    both = np.concatenate((thing(8), thing(9)))  # two things in one mask are half of each
    ap, ap50, ap25 = ap_of(asked(both), one, (0,), (0.9,))
    assert (ap, ap50, ap25) == (0, 0, 1)


def test_a_thing_in_two_pieces_is_found_once() -> None:
    one = Question("the thing", "relation", (8,))
    pieces = asked(thing(8)[:800], thing(8)[800:])
    assert ap_of(pieces, one, (0,), (0.9,))[1] == 1
    assert ap_of(pieces, one, (1, 0), (0.9, 0.5))[1] < 1  # the small piece first: a false alarm


def test_a_small_thing_is_a_thing() -> None:
    """A cup may have fewer vertices than benchmarks of furniture count."""
    few, ids = 60, np.repeat([1007, 2008], [60, 1000])
    masks = ScenePrediction.from_lists(
        [np.arange(few), np.arange(few, len(ids))], len(ids), np.ones(2, np.int64), np.full(2, 0.5)
    )
    truth, nowhere = Truth(np.zeros((len(ids), 3), np.float32), ids), np.full(len(ids), -1)
    small = MappedQuestions(table_map(), (), (7, 8), masks, truth, nowhere)
    question = Question("the cup", "attribute", (7,))
    assert ap_of(small, question, (1,), (0.9,)) == (0, 0, 0)
    assert ap_of(small, question, (0,), (0.9,)) == pytest.approx((1, 1, 1))


# ---- a room ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def room() -> TrueRoom:
    (room,) = true_rooms("val", 1, 0, 8, (90, 120), "clean", keep=True)
    return room


class Silent:
    """Names nothing."""

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        return Answer(question, (), ())


class ByName:
    """Names all that is called what the question says: knows words, and nothing of places or uses."""

    def __init__(self) -> None:
        self.named: list[str] = []

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        names = scene.names
        self.named += [name for name in names if name is not None]
        asked = question.removeprefix("all ")
        ids = [i for i, name in zip(scene.ids.tolist(), names, strict=True) if name and same_name(asked, (name,))]
        return Answer(question, tuple(ids), (0.9,) * len(ids))


def measured(answerer: Answerer, room: TrueRoom) -> dict[str, Any]:
    ticks: list[tuple[int, int]] = []
    answer = measure_questions(
        iter([room]), Bundled(), Votes(), answerer, per_kind=8, progress=lambda n, found: ticks.append((n, found)),
    )
    assert [n for n, _ in ticks] == [1] and ticks[0][1] > 3
    return answer


def test_silence_is_right_where_there_is_nothing_to_say(room: TrueRoom) -> None:
    answer = measured(Silent(), room)
    assert answer["accuracy"]["none"] == answer["f1"]["none"] == 1
    assert all(answer[measure][kind] == 0 for measure in ("accuracy", "exact", "f1") for kind in KINDS)
    assert answer["phrases"] == {"AP": 0, "AP50": 0, "AP25": 0}
    count = answer["count"]
    assert count["all"] == sum(count[kind] for kind in (*KINDS, "none")) > 15
    assert all(0 < count[kind] <= 8 for kind in (*KINDS, "none"))
    assert answer["accuracy"]["all"] == pytest.approx(count["none"] / count["all"], abs=1e-4)


def test_who_knows_names_answers_what_asks_for_names(room: TrueRoom) -> None:
    by_name = ByName()
    answer = measured(by_name, room)
    classes = {o.name for o in room.recording.room.objects}
    assert set(by_name.named) <= classes  # the true masks' names, in the words of the rooms
    assert answer["accuracy"]["attribute"] > 0.2 and answer["accuracy"]["function"] == 0
    assert answer["accuracy"]["none"] == 1
    assert 0 < answer["phrases"]["AP"] <= answer["phrases"]["AP50"] <= answer["phrases"]["AP25"] < 1
    assert answer == measured(ByName(), room)


def test_what_is_true_is_what_the_recording_shows(room: TrueRoom) -> None:
    mapped = _mapped(room, Bundled(), "truth", 8)
    known = {o.id: o.name for o in room.recording.room.objects}
    shown = set((room.truth.ids % 1000).tolist())
    assert len(mapped.things) == len(mapped.scene) == len(mapped.masks)
    assert sum(t > 0 for t in mapped.things) >= 0.8 * len(mapped.things)
    names = mapped.scene.names
    assert all(names[row] == known[t] for row, t in enumerate(mapped.things) if t)
    assert all(set(q.answer_ids) <= shown for q in mapped.questions)
    for question in mapped.questions:  # who names all instances of the right things names the right things
        rows = [row for row, t in enumerate(mapped.things) if t in question.answer_ids]
        if question.answer_ids and len(rows) == len(question.answer_ids):
            assert ap_of(mapped, question, rows, [0.9] * len(rows))[2] > 0
