"""What a person holds: a map, its instances, answers that are given once, and whose each point is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.scene import SceneMap
from seg3r.scene.view import Instance, Map
from seg3r.types import Answer, Labels
from tests.maps import table_map


class Counted:
    """Answers every question with the last instance, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        self.asked += 1
        return Answer(question, (int(scene.ids[-1]),), (0.5,))


@pytest.fixture
def held() -> Map:
    scene = table_map()
    names = tuple(("Cup", "table", None)[i % 3] for i in range(len(scene)))
    scene.set_labels(Labels(names, torch.linspace(0.2, 0.9, len(scene))))
    return Map(scene, Counted())


def test_instances_one_by_one_by_id_and_by_name(held: Map) -> None:
    ids = held.scene.ids.tolist()
    assert len(held) == len(ids) and [thing.id for thing in held] == ids
    assert held[ids[1]].id == ids[1] and held[ids[1]] == list(held)[1] and held[ids[1]] in held
    assert {thing.id for thing in held["cup"]} == {i for i, n in zip(ids, held.scene.names, strict=True) if n == "Cup"}
    scores = [thing.score for thing in held["cup"]]
    assert scores == sorted(scores, reverse=True) and held["spaceship"] == []
    assert "CUP" in held and "spaceship" not in held and ids[0] in held and 999 not in held
    assert held.names == sorted({n for n in held.scene.names if n})
    with pytest.raises(InputError, match="no instance 999; ids go from"):
        held[999]


def test_an_instance_is_what_the_map_knows_of_it(held: Map) -> None:
    for row, thing in enumerate(held):
        own = held.scene.points_of(thing.id)[0].numpy()
        assert thing.name == held.scene.names[row] and thing.score == pytest.approx(float(held.scene.scores[row]))
        np.testing.assert_array_equal(thing.points, held.points[own])
        np.testing.assert_array_equal(thing.colors, held.colors[own])
        np.testing.assert_array_equal(thing.box, [thing.points.min(0), thing.points.max(0)])
        np.testing.assert_array_equal(thing.size_m, np.ptp(thing.points, axis=0))
        assert thing.views == held.scene.sightings.get(thing.id, ())
        if thing.views:
            np.testing.assert_array_equal(thing.crop(), thing.views[0].crop.numpy())
        with pytest.raises(InputError, match=f"has {len(thing.views)} views"):
            thing.crop(99)
        assert f"Instance {thing.id}" in repr(thing) and f"{100 * thing.size_m[0]:.0f}" in repr(thing)
    assert f"{len(held)} instances" in repr(held) and "table" in repr(held)


def test_a_question_asked_twice_costs_once_until_the_map_changes(held: Map) -> None:
    first = held.ask("the cup")
    assert held.ask("the cup") is first and held.answerer.asked == 1  # type: ignore[union-attr]
    assert [thing.id for thing in held.instances(first)] == [int(held.scene.ids[-1])]
    held.ask("another")
    held.scene.set_labels(Labels(("lamp",) * len(held), torch.ones(len(held))))
    held.ask("the cup")
    assert held.answerer.asked == 3  # type: ignore[union-attr]
    with pytest.raises(InputError, match="question: it is empty"):
        held.ask("  ")
    with pytest.raises(InputError, match="nobody who answers"):
        Map(held.scene).ask("the cup")


def test_every_own_point_gets_the_id_of_what_it_belongs_to(held: Map) -> None:
    best = held.scene.best_owners.numpy()
    ids = np.append(held.scene.ids.numpy(), 0)[best]
    labels = held.labels(held.points)
    np.testing.assert_array_equal(labels[best >= 0], ids[best >= 0])
    assert (labels == ids).mean() > 0.97  # at the rims of masks an owned point decides over the nearest one
    order = np.random.default_rng(0).permutation(len(ids))
    np.testing.assert_array_equal(held.labels(held.points[order]), labels[order])
    far = held.points[:5] + 100.0
    np.testing.assert_array_equal(held.labels(far), np.zeros(5))
    assert held.labels(np.zeros((0, 3))).shape == (0,)
    assert 0 not in held, "0 stands for nobody: ids begin with 1"


def test_a_map_of_before_that_holds_an_instance_0_says_so() -> None:
    old = Map(SceneMap.load(Path(__file__).parents[1] / "data" / "scene" / "format2.safetensors"))
    assert 0 in old
    with pytest.raises(InputError, match=r"holds an instance 0.*scene\.labels"):
        old.labels(old.points)
    assert int(old.scene.labels(torch.from_numpy(old.points)).min()) >= -1


def test_a_map_without_anything_is_a_map() -> None:
    empty = Map(SceneMap())
    assert len(empty) == 0 and list(empty) == [] and empty["cup"] == [] and empty.names == []
    assert empty.labels(np.ones((2, 3))).tolist() == [0, 0]
    with pytest.raises(InputError, match="it holds none"):
        empty[1]


def test_instances_are_compared_by_map_and_id(held: Map) -> None:
    first = next(iter(held))
    assert first == Instance(held.scene, first.id) and len({first, Instance(held.scene, first.id)}) == 1
    assert first != Instance(held.scene.copy(), first.id)
    gone = Instance(held.scene, first.id)
    held.scene.drop([first.id])
    with pytest.raises(InputError, match=r"no instance .* any more"):
        gone.score  # noqa: B018
