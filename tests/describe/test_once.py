"""What is computed once for a map."""

from __future__ import annotations

import torch

from seg3r.describe.once import Once
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.types import Matches
from tests.loops import masks_of, segments_of
from tests.maps import table_map
from tests.worlds import table_scene, walk


def counted() -> tuple[Once[int], list[SceneMap]]:
    asked: list[SceneMap] = []

    def count(scene: SceneMap) -> int:
        asked.append(scene)
        return len(scene)

    return Once(count), asked


def test_the_same_map_is_looked_at_once() -> None:
    once, asked = counted()
    scene = table_map()
    assert [once(scene) for _ in range(3)] == [len(scene)] * 3
    assert len(asked) == 1


def test_nothing_is_worth_remembering_too() -> None:
    once, asked = counted()
    empty = SceneMap()
    assert once(empty) == once(empty) == 0
    assert len(asked) == 1


def test_an_equal_map_is_another() -> None:
    once, asked = counted()
    scene = table_map()
    other = scene.copy()
    once(scene)
    once(other)
    assert asked[0] is scene and asked[1] is other
    once(scene)  # only the last one is remembered
    assert len(asked) == 3


def test_a_map_that_took_in_more_is_another() -> None:
    once, asked = counted()
    scene = SceneMap()
    for step, (frame, ids) in enumerate(walk(table_scene(), 3, (60, 80)), 1):
        view = Sensor().view(frame)
        segments = segments_of(view, masks_of(ids))
        scene.add(view, segments, Matches(torch.full((len(segments),), -1), torch.ones(len(segments))))
        assert once(scene) == once(scene) == len(scene)
        assert len(asked) == step


def test_a_map_that_lost_or_joined_instances_is_another() -> None:
    once, asked = counted()
    scene = table_map()
    ids = scene.ids.tolist()
    assert once(scene) == 4
    scene.drop(ids[:1])
    assert once(scene) == len(scene) == 3
    scene.merge(ids[1], ids[2])
    assert once(scene) == len(scene) == 2
    assert len(asked) == 3
