"""Answers by a language model: one that sees colours, reads the facts and knows no more."""

from __future__ import annotations

import pytest
import torch

from seg3r.answer.mllm import MOST_ASKED, MllmAnswerer, fits_score
from seg3r.protocols import Answerer
from seg3r.scene import SceneMap
from seg3r.types import Reply
from tests.seen import BOX, CRATE, CUP, TABLE, Colored, ColorEncoder, laid_table, place_of, unnamed


@pytest.fixture
def row() -> dict[int, int]:
    return {truth: place_of(laid_table(), truth) for truth in (TABLE, BOX, CUP, CRATE)}


@pytest.fixture
def scene() -> SceneMap:
    return unnamed(laid_table())


def test_views_are_shown_again_without_the_outline_only_where_asked_for(scene: SceneMap) -> None:
    once, twice = Colored(), Colored()
    MllmAnswerer(once)(scene, "everything red")
    MllmAnswerer(twice, plain_too=True)(scene, "everything red")
    assert twice.prompts
    for first, again in zip(once.prompts, twice.prompts, strict=True):
        assert len(again.images) == 2 * len(first.images)
        assert again.text.startswith("First ") and not first.text.startswith("First ")


def test_what_was_never_seen_well_is_not_asked_about(scene: SceneMap) -> None:
    unseen = int(scene.ids[1])
    assert unseen in MllmAnswerer(Colored())(scene, "red green blue").instance_ids
    scene.sightings.pop(unseen)
    assert unseen not in MllmAnswerer(Colored())(scene, "red green blue").instance_ids
    scene.drop(scene.ids.tolist())
    assert MllmAnswerer(Colored())(scene, "the red box").instance_ids == ()


def test_answers_come_from_looks_and_from_facts(scene: SceneMap, row: dict[int, int]) -> None:
    ids = scene.ids.tolist()
    answerer = MllmAnswerer(Colored())
    assert isinstance(answerer, Answerer)
    answer = answerer(scene, "everything red")
    assert set(answer.instance_ids) == {ids[row[BOX]], ids[row[CRATE]]}
    assert answer.scores == pytest.approx((0.9, 0.9)) and answer.text is not None and "thing #" in answer.text
    scene.name_votes[ids[row[TABLE]]] = {"table": 1.0}
    assert answerer(scene, "red things on the table").instance_ids == (ids[row[BOX]],)
    assert answerer(scene, "red things on the floor").instance_ids == (ids[row[CRATE]],)
    nothing = answerer(scene, "everything purple")
    assert nothing.instance_ids == () and nothing.scores == () and nothing.text == "Nothing fits."


def test_facts_and_names_are_told(scene: SceneMap, row: dict[int, int]) -> None:
    scene.name_votes[scene.ids.tolist()[row[TABLE]]] = {"table": 1.0}
    chat = Colored()
    MllmAnswerer(chat)(scene, "everything red")
    assert "on the green table" in chat.prompts[row[CUP]].text
    assert "holds" in chat.prompts[row[TABLE]].text


def test_of_many_only_the_likely_ones_are_asked_about(scene: SceneMap, row: dict[int, int]) -> None:
    chat = Colored()
    answer = MllmAnswerer(chat, ColorEncoder(), most=2)(scene, "everything red")
    assert len(chat.prompts) == 2 < MOST_ASKED
    assert set(answer.instance_ids) == {scene.ids.tolist()[row[t]] for t in (BOX, CRATE)}
    chat = Colored()
    MllmAnswerer(chat, most=2)(scene, "everything red")  # nobody to choose whom to ask about
    assert len(chat.prompts) == 4


def test_how_sure_a_yes_is() -> None:
    said = ['{"fits": true}', '{"fits": false}', "who knows"]
    assert [fits_score(Reply(text, 0.6)) for text in said] == pytest.approx([0.8, 0.2, 0.0])
    assert [fits_score(Reply(text)) for text in said] == pytest.approx([1.0, 0.0, 0.0])
    assert torch.tensor([fits_score(Reply(said[0], p / 10)) for p in range(11)]).diff().min() > 0
