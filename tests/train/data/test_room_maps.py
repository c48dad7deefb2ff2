"""Rooms as the mapper sees them, and what is what in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r.rooms import build_room
from seg3r.scene import SceneMap
from seg3r.train.data import room_maps as maps
from seg3r.train.data.room_maps import (
    NEAR_M,
    MappedRoom,
    is_mapped,
    load_room,
    map_room,
    map_rooms,
    save_room,
    things_of,
)
from tests.loops import assert_same_map
from tests.maps import table_map

SEED = 7


@pytest.fixture(scope="module")
def mapped() -> MappedRoom:
    return map_room(SEED, "truth", frames=6, size=(60, 80))


def cloud(scene: SceneMap) -> tuple[np.ndarray, np.ndarray]:
    """The map's own points, labelled by who alone owns them: 10 + place in the list of ids."""
    labels = np.zeros(scene.point_count, np.int32)
    for place, i in enumerate(scene.ids.tolist()):
        labels[scene.points_of(i)[0].numpy()] = 10 + place
    return scene.points.numpy(), labels


def test_each_instance_is_the_thing_that_lies_where_it_lies() -> None:
    scene = table_map()
    points, labels = cloud(scene)
    ids = scene.ids.tolist()
    expected = {i: 10 + place for place, i in enumerate(ids)}
    assert things_of(scene, points, labels) == expected
    order = np.random.default_rng(0).permutation(len(points))
    assert things_of(scene, points[order], labels[order]) == expected
    near = points + np.array([0, 0, 0.4 * scene.voxel_m], np.float32)
    assert things_of(scene, near, labels) == expected


def test_what_is_far_from_all_that_is_labelled_is_nothing() -> None:
    scene = table_map()
    points, labels = cloud(scene)
    away = points + np.array([50, 0, 0], np.float32)
    assert set(things_of(scene, away, labels).values()) == {0}
    assert set(things_of(scene, points, np.zeros_like(labels)).values()) == {0}
    one = np.array([[0.0, 0.0, 9.0]], np.float32)
    assert set(things_of(scene, one, np.array([3], np.int32)).values()) == {0}


@pytest.mark.parametrize(("reach", "expected"), [(0.0, 5), (0.95, 5), (1.05, 0)])
def test_how_near_is_near(reach: float, expected: int) -> None:
    scene = table_map()
    first, one = scene.ids.tolist()[0], torch.ones(1, dtype=torch.int32)
    scene.set_points(first, torch.tensor([17]), one, one)
    label = scene.points[17:18].numpy() + np.array([[0, reach * NEAR_M, 0]], np.float32)
    assert things_of(scene, label, np.array([5], np.int32))[first] == expected


def test_a_mixture_is_nothing_and_a_majority_is_all() -> None:
    scene = table_map()
    points, labels = cloud(scene)
    i = scene.ids.tolist()[0]
    own = np.flatnonzero(labels == 10)
    for share, expected in ((0.6, 1), (0.45, 0), (0.3, 2)):  # the others are thing 2; at 0.45 a third is left out
        mixed = labels.copy()
        mixed[own] = 2
        mixed[own[: int(share * len(own))]] = 1
        if expected == 0:
            mixed[own[int(0.9 * len(own)) :]] = 3
        assert things_of(scene, points, mixed)[i] == expected


def test_an_instance_without_points_is_nothing() -> None:
    scene = table_map()
    points, labels = cloud(scene)
    none = torch.zeros(0, dtype=torch.int32)
    first = scene.ids.tolist()[0]
    scene.set_points(first, none.long(), none, none)
    answer = things_of(scene, points, labels)
    assert answer[first] == 0 and answer[scene.ids.tolist()[1]] == 11


def test_a_map_without_instances() -> None:
    scene = table_map()
    points, labels = cloud(scene)
    scene.drop(scene.ids.tolist())
    assert things_of(scene, points, labels) == {}


def test_true_masks_find_true_things(mapped: MappedRoom) -> None:
    known = {o.id: o for o in build_room(SEED).objects}
    assert mapped.seed == SEED
    assert set(mapped.thing_of) == set(mapped.scene.ids.tolist())
    found = [known[t] for t in mapped.thing_of.values() if t]
    assert len(found) >= 3 and len(found) >= 0.8 * len(mapped.thing_of)
    for i, t in mapped.thing_of.items():
        if t:  # the map lies in the room's world: an instance lies in the box of its thing
            low, high = (np.array(corner) for corner in known[t].box)
            places = mapped.scene.places_of(i).numpy()
            assert ((places >= low - 0.2) & (places <= high + 0.2)).all(1).mean() > 0.7


def test_what_is_kept_comes_back(mapped: MappedRoom, tmp_path: Path) -> None:
    assert not is_mapped(SEED, tmp_path)
    save_room(mapped, tmp_path)
    assert is_mapped(SEED, tmp_path) and not is_mapped(SEED + 1, tmp_path)
    again = load_room(SEED, tmp_path)
    assert (again.seed, again.thing_of) == (mapped.seed, mapped.thing_of)
    assert_same_map(again.scene, mapped.scene)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{SEED}.json", f"{SEED}.safetensors"]


def test_half_a_room_is_none(mapped: MappedRoom, tmp_path: Path) -> None:
    mapped.scene.save(tmp_path / f"{SEED}.safetensors")
    assert not is_mapped(SEED, tmp_path)


def test_only_missing_rooms_are_mapped(
    mapped: MappedRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[int, str]] = []

    def small(seed: int, masks: str) -> MappedRoom:
        done.append((seed, masks))
        return map_room(seed, masks, frames=2, size=(48, 64))

    monkeypatch.setattr(maps, "map_room", small)
    folder, ticks = tmp_path / "not" / "there", []
    folder.mkdir(parents=True)
    save_room(mapped, folder)
    map_rooms((3, SEED, 4), "truth", folder, lambda n, total: ticks.append((n, total)))
    assert done == [(3, "truth"), (4, "truth")] and ticks == [(1, 3), (2, 3), (3, 3)]
    assert load_room(SEED, folder).thing_of == mapped.thing_of  # left as it was
    map_rooms((3, 4, SEED), "geometric", folder)
    assert len(done) == 2
    map_rooms((), "truth", tmp_path / "new")
    assert (tmp_path / "new").is_dir()
    assert all(json.loads((folder / f"{n}.json").read_text()) for n in (3, 4))
