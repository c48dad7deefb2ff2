"""Answers by the nearest text, with an encoder that knows colours alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from seg3r.answer.nearest import NearestAnswerer, compares_texts, head_noun
from seg3r.protocols import Answerer
from seg3r.scene import SceneMap
from tests.seen import ALSO_RED, BLUE, RED, YELLOW, ColorEncoder, boxes, place_of, reordered, unnamed


@pytest.fixture
def row() -> dict[int, int]:
    return {truth: place_of(boxes(), truth) for truth in (RED, BLUE, ALSO_RED, YELLOW)}


@pytest.fixture
def scene() -> SceneMap:
    return unnamed(boxes())


@pytest.mark.parametrize("independent", [True, False])
def test_instances_in_another_order_give_the_same_answer(
    scene: SceneMap, row: dict[int, int], independent: bool
) -> None:
    other, moved = reordered(scene)
    ask = "everything that is blue"
    first, second = (NearestAnswerer(ColorEncoder(independent), least=0.3)(s, ask) for s in (scene, other))
    assert first.instance_ids == (scene.ids.tolist()[row[BLUE]],)
    assert second.instance_ids == (other.ids.tolist()[moved[row[BLUE]]],)
    assert first.scores == pytest.approx(second.scores)


def test_answers_are_what_fits_best_first_and_nothing_else(scene: SceneMap, row: dict[int, int]) -> None:
    ids, answerer = scene.ids.tolist(), NearestAnswerer(ColorEncoder())
    assert isinstance(answerer, Answerer)
    answer = answerer(scene, "everything that is red")
    assert set(answer.instance_ids) == {ids[row[RED]], ids[row[ALSO_RED]]}
    assert list(answer.scores) == sorted(answer.scores, reverse=True) and min(answer.scores) >= 0.5
    assert answerer(scene, "everything that is green").instance_ids == ()


def test_a_name_helps_and_does_not_decide_alone(scene: SceneMap, row: dict[int, int]) -> None:
    ids = scene.ids.tolist()
    for truth, name in ((RED, "crate"), (ALSO_RED, "ball"), (BLUE, "ball"), (YELLOW, "lamp")):
        scene.name_votes[ids[row[truth]]] = {name: 1.0}
    answer = NearestAnswerer(ColorEncoder())(scene, "the red ball")
    assert answer.instance_ids[0] == ids[row[ALSO_RED]]
    assert ids[row[YELLOW]] not in answer.instance_ids
    looks_only = NearestAnswerer(ColorEncoder(), named=0.0)(scene, "the red ball")
    assert set(looks_only.instance_ids) == {ids[row[RED]], ids[row[ALSO_RED]]}


def test_texts_of_an_encoder_that_holds_them_all_for_alike_do_not_count(scene: SceneMap, row: dict[int, int]) -> None:
    class Blurred(ColorEncoder):
        """Texts lie close together, far from pictures, as after training on pictures with captions alone."""

        def texts(self, phrases: Sequence[str]) -> torch.Tensor:
            own = super().texts(phrases)
            return torch.nn.functional.normalize(torch.cat((own, torch.full((len(own), 1), 3.0)), 1), dim=1)

        def images(self, crops: Sequence[torch.Tensor]) -> torch.Tensor:
            own = super().images(crops)
            return torch.cat((own, torch.zeros(len(own), 1)), 1)

    blurred = Blurred()
    blurred.scale = 60.0
    assert compares_texts(ColorEncoder()) and not compares_texts(blurred)
    assert not compares_texts(ColorEncoder(independent=False))
    for i, name in zip(scene.ids.tolist(), ("a", "b", "c", "d"), strict=True):
        scene.name_votes[i] = {name: 1.0}
    answer = NearestAnswerer(blurred)(scene, "everything that is red")
    assert set(answer.instance_ids) == {scene.ids.tolist()[row[t]] for t in (RED, ALSO_RED)}


@pytest.mark.parametrize(
    ("question", "noun"),
    [
        ("the cup on the table", "cup"), ("the red chairs", "chair"), ("all chairs", "chair"), ("the book", "book"),
        ("the books", "books"), ("the coffee table", "coffee table"), ("the lamp nearest to the chair", "lamp"),
        ("the chair next to the coffee table", "chair"), ("Where is the lamp?", "lamp"),
        ("everything on the table", None), ("What stands next to the cup?", None), ("something to sit on", None),
        ("What does the lamp stand on?", None), ("the tablet", None), ("", None), ("?", None), ("cup", "cup"),
    ],
)
def test_the_thing_that_a_question_looks_for(question: str, noun: str | None) -> None:
    assert head_noun(question, ("table", "coffee table", "cup", "book", "books", "chair", "lamp")) == noun


def test_a_map_without_instances_has_no_answer(scene: SceneMap) -> None:
    scene.drop(scene.ids.tolist())
    assert NearestAnswerer(ColorEncoder())(scene, "the red box").instance_ids == ()
