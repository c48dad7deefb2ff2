"""Names and answers by the nearest text, with an encoder that knows colours alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from seg3r.label.nearest import Nearest, NearestAnswers, chances, compares_texts, head_noun
from seg3r.protocols import Answerer, ImageTextEncoder, Labeler
from seg3r.scene import SceneMap
from seg3r.scene.combine import select, union
from tests.label.seen import ColorEncoder, map_of, place_of
from tests.worlds import BoxWorld

LOW = np.array([[-3, -3, -0.1], [-1.3, -0.3, 0.0], [-0.3, -0.3, 0.0], [0.7, -0.3, 0.0], [-0.3, 0.9, 0.0]])
HIGH = np.array([[3, 3, 0.0], [-0.7, 0.3, 0.5], [0.3, 0.3, 0.5], [1.3, 0.3, 0.5], [0.3, 1.5, 0.5]])
SHADES = ("grey", "red", "blue", "red", "yellow")
RED, BLUE, ALSO_RED, YELLOW = 2, 3, 4, 5


@pytest.fixture(scope="module")
def mapped() -> SceneMap:
    return map_of(BoxWorld(LOW, HIGH), SHADES)


@pytest.fixture
def row(mapped: SceneMap) -> dict[int, int]:
    return {truth: place_of(mapped, truth) for truth in (RED, BLUE, ALSO_RED, YELLOW)}


@pytest.fixture
def scene(mapped: SceneMap) -> SceneMap:
    """Without names."""
    scene = mapped.copy()
    for i in scene.ids.tolist():
        scene.name_votes.pop(i)
    return scene


@pytest.mark.parametrize("independent", [True, False])
def test_the_nearest_word_or_none(scene: SceneMap, row: dict[int, int], independent: bool) -> None:
    encoder = ColorEncoder(independent)
    labeler = Nearest(encoder, least=0.5)
    assert isinstance(encoder, ImageTextEncoder) and isinstance(labeler, Labeler)
    labels = labeler(scene, ("red box", "blue box", "green box"))
    assert labels.names[row[RED]] == labels.names[row[ALSO_RED]] == "red box"
    assert labels.names[row[BLUE]] == "blue box"
    assert labels.names[row[YELLOW]] is None
    assert float(labels.scores[row[RED]]) > 0.9 and float(labels.scores[row[YELLOW]]) < 0.5


@pytest.mark.parametrize("independent", [True, False])
def test_instances_in_another_order_get_the_same_names_in_that_order(
    scene: SceneMap, row: dict[int, int], independent: bool
) -> None:
    ids = scene.ids.tolist()
    other, renumbered = union(select(scene, ids=ids[2:]), select(scene, ids=ids[:2]))
    moved = [other.ids.tolist().index(renumbered.get(i, i)) for i in ids]
    assert sorted(moved) == list(range(4)) and moved != list(range(4))
    words = ("red box", "blue box", "green box")
    table, again = (Nearest(ColorEncoder(independent)).chances(s, words) for s in (scene, other))
    torch.testing.assert_close(table, again[moved])
    ask = "everything that is blue"
    first, second = (NearestAnswers(ColorEncoder(independent), least=0.3)(s, ask) for s in (scene, other))
    assert first.instance_ids == (ids[row[BLUE]],)
    assert second.instance_ids == (other.ids.tolist()[moved[row[BLUE]]],)
    assert first.scores == pytest.approx(second.scores)


def test_pictures_are_looked_at_once_for_a_map(scene: SceneMap) -> None:
    encoder = ColorEncoder()
    labeler = Nearest(encoder)
    labeler(scene, ("red box",))
    asked = encoder.asked
    labeler.chances(scene, ("blue box", "green box"))
    assert encoder.asked == asked > 0
    labeler(scene.copy(), ("red box",))
    assert encoder.asked == 2 * asked


def test_no_words_no_instances_and_nothing_seen(scene: SceneMap) -> None:
    labeler = Nearest(ColorEncoder())
    assert labeler(scene, ()).names == (None,) * len(scene)
    unseen = int(scene.ids[0])
    scene.sightings.pop(unseen)
    labels = Nearest(ColorEncoder())(scene, ("red box", "blue box", "yellow box"))
    assert labels.names[0] is None and float(labels.scores[0]) == 0 and None not in labels.names[1:]
    scene.drop(scene.ids.tolist())
    assert Nearest(ColorEncoder())(scene, ("red box",)).names == ()
    assert NearestAnswers(ColorEncoder())(scene, "the red box").instance_ids == ()


def test_probabilities_of_an_encoder_without_its_own_sum_to_less_than_one() -> None:
    vectors = torch.nn.functional.normalize(torch.rand(5, 17), dim=1)
    table = chances(ColorEncoder(independent=False), vectors, ("red", "blue", "green"))
    assert bool((table.sum(1) < 1).all()) and bool((table > 0).all())


def test_answers_are_what_fits_best_first_and_nothing_else(scene: SceneMap, row: dict[int, int]) -> None:
    ids, answerer = scene.ids.tolist(), NearestAnswers(ColorEncoder())
    assert isinstance(answerer, Answerer)
    answer = answerer(scene, "everything that is red")
    assert set(answer.instance_ids) == {ids[row[RED]], ids[row[ALSO_RED]]}
    assert list(answer.scores) == sorted(answer.scores, reverse=True) and min(answer.scores) >= 0.5
    assert answerer(scene, "everything that is green").instance_ids == ()


def test_a_name_helps_and_does_not_decide_alone(scene: SceneMap, row: dict[int, int]) -> None:
    ids = scene.ids.tolist()
    for truth, name in ((RED, "crate"), (ALSO_RED, "ball"), (BLUE, "ball"), (YELLOW, "lamp")):
        scene.name_votes[ids[row[truth]]] = {name: 1.0}
    answer = NearestAnswers(ColorEncoder())(scene, "the red ball")
    assert answer.instance_ids[0] == ids[row[ALSO_RED]]
    assert ids[row[YELLOW]] not in answer.instance_ids
    looks_only = NearestAnswers(ColorEncoder(), named=0.0)(scene, "the red ball")
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
    answer = NearestAnswers(blurred)(scene, "everything that is red")
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
