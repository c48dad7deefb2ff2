"""Names by the nearest text, with an encoder that knows colours alone."""

from __future__ import annotations

import pytest
import torch

from seg3r.label.nearest import Nearest, word_probabilities
from seg3r.protocols import ImageTextEncoder, Labeler
from seg3r.scene import SceneMap
from tests.seen import ALSO_RED, BLUE, RED, YELLOW, ColorEncoder, boxes, place_of, reordered, unnamed


@pytest.fixture
def row() -> dict[int, int]:
    return {truth: place_of(boxes(), truth) for truth in (RED, BLUE, ALSO_RED, YELLOW)}


@pytest.fixture
def scene() -> SceneMap:
    return unnamed(boxes())


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
def test_instances_in_another_order_get_the_same_names_in_that_order(scene: SceneMap, independent: bool) -> None:
    other, moved = reordered(scene)
    words = ("red box", "blue box", "green box")
    table, again = (Nearest(ColorEncoder(independent)).probabilities(s, words) for s in (scene, other))
    torch.testing.assert_close(table, again[moved])


def test_pictures_are_looked_at_once_for_a_map(scene: SceneMap) -> None:
    encoder = ColorEncoder()
    labeler = Nearest(encoder)
    labeler(scene, ("red box",))
    asked = encoder.asked
    labeler.probabilities(scene, ("blue box", "green box"))
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


def test_probabilities_of_an_encoder_without_its_own_sum_to_less_than_one() -> None:
    vectors = torch.nn.functional.normalize(torch.rand(5, 17), dim=1)
    table = word_probabilities(ColorEncoder(independent=False), vectors, ("red", "blue", "green"))
    assert bool((table.sum(1) < 1).all()) and bool((table > 0).all())
