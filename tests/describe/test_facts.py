"""The geometry of a map in words, from a room of six boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.describe.facts import (
    COLORS,
    MOST_GAIN,
    Thing,
    color_name,
    exposure,
    survey,
    tell,
)
from seg3r.rooms.texture import COLORS as ROOM_COLORS
from seg3r.scene import SceneMap
from seg3r.scene.upright import upright_axes
from tests.maps import table_map
from tests.seen import map_of, place_of
from tests.worlds import BoxWorld

# floor | table | box and cup on the table | crate beside the table | crate far off, larger | picture in the air
LOW = np.array([
    [-2.5, -2.5, -0.1], [-0.6, -0.4, 0.0], [-0.5, -0.3, 0.7], [0.2, -0.1, 0.7], [0.8, -0.2, 0.0], [-1.6, 1.1, 0.0],
    [-2.0, -0.3, 1.2],
])
HIGH = np.array([
    [2.5, 2.5, 0.0], [0.6, 0.4, 0.7], [-0.1, 0.1, 1.0], [0.4, 0.1, 0.9], [1.1, 0.2, 0.3], [-1.0, 1.7, 0.6],
    [-1.95, 0.3, 1.6],
])
SHADES = ("grey", "brown", "red", "blue", "yellow", "green", "purple")
TABLE, BOX, CUP, CRATE, FAR, PICTURE = range(2, 8)
NAMES = {TABLE: "table", BOX: "box", CUP: "cup", CRATE: "crate", FAR: "crate", PICTURE: "picture"}


def boxes(motion: torch.Tensor | None = None) -> SceneMap:
    return map_of(BoxWorld(LOW, HIGH), SHADES, motion)


@pytest.fixture(scope="module")
def scene() -> SceneMap:
    return boxes()


@pytest.fixture(scope="module")
def things(scene: SceneMap) -> list[Thing]:
    return survey(scene)


def named(scene: SceneMap) -> list[str | None]:
    truth = {place_of(scene, t): name for t, name in NAMES.items()}
    return [truth.get(row) for row in range(len(scene))]


def test_sizes_places_and_colours(scene: SceneMap, things: list[Thing]) -> None:
    places = {TABLE: "floor", BOX: "on", CUP: "on", CRATE: "floor", FAR: "floor", PICTURE: "wall"}
    for truth, place in places.items():
        thing = things[place_of(scene, truth)]
        assert thing.place == place, truth
        assert thing.color == SHADES[truth - 1]
        size = sorted(HIGH[truth - 1, :2] - LOW[truth - 1, :2]), HIGH[truth - 1, 2] - LOW[truth - 1, 2]
        assert sorted(thing.size_m[:2]) == pytest.approx(size[0], abs=0.06)
        assert thing.size_m[2] == pytest.approx(size[1], abs=0.06)


def test_what_stands_on_what_and_beside_what(scene: SceneMap, things: list[Thing]) -> None:
    row = {truth: place_of(scene, truth) for truth in NAMES}
    assert [things[row[t]].support for t in (BOX, CUP)] == [row[TABLE]] * 2
    assert all(things[row[t]].support == -1 for t in (TABLE, CRATE, FAR, PICTURE))
    assert set(things[row[TABLE]].holds) == {row[BOX], row[CUP]}
    assert things[row[TABLE]].beside == (row[CRATE],) and things[row[CRATE]].beside == (row[TABLE],)
    assert things[row[FAR]].beside == () and things[row[PICTURE]].beside == ()
    assert things[row[BOX]].beside == (row[CUP],)


def test_nothing_changes_where_the_world_is_turned_and_moved(things: list[Thing], scene: SceneMap) -> None:
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3] = torch.linalg.matrix_exp(torch.tensor(
        [[0, -0.7, 0.4], [0.7, 0, -1.1], [-0.4, 1.1, 0]], dtype=torch.float64
    ))
    motion[:3, 3] = torch.tensor([30.0, -20.0, 5.0])
    moved = boxes(motion)
    for was, now in zip(things, survey(moved), strict=True):
        assert (now.color, now.place, now.support, now.holds, set(now.beside)) == (
            was.color, was.place, was.support, was.holds, set(was.beside)
        )
        assert sorted(now.size_m[:2]) == pytest.approx(sorted(was.size_m[:2]), abs=0.03)  # the room is square
        assert now.size_m[2] == pytest.approx(was.size_m[2], abs=0.03)
    assert float(torch.tensor(upright_axes(moved)[2]) @ motion[:3, 2]) > 0.999


def test_what_carries_a_thing_is_level_and_wide() -> None:
    # floor | wall | picture before it | thin table top | cup on it | ball | bed over the ball, its feet not seen
    low = np.array([
        [-2.5, -2.5, -0.1], [-1.9, -1.0, 0.0], [-1.8, -0.3, 1.1], [0.9, -0.4, 0.68], [1.0, -0.1, 0.72],
        [0.5, 0.5, 0.0], [-0.7, -0.9, 0.2],
    ])
    high = np.array([
        [2.5, 2.5, 0.0], [-1.8, 1.0, 2.0], [-1.76, 0.3, 1.5], [1.5, 0.4, 0.72], [1.2, 0.1, 0.9], [0.8, 0.8, 0.19],
        [0.7, 0.9, 0.5],
    ])
    scene = map_of(BoxWorld(low, high), ("grey", "white", "purple", "brown", "blue", "yellow", "pink"))
    things = survey(scene)
    row = {truth: place_of(scene, truth) for truth in (2, 3, 4, 5, 6, 7)}
    assert {truth: things[r].support for truth, r in row.items()} == {2: -1, 3: -1, 4: -1, 5: row[4], 6: -1, 7: -1}
    places = {2: "floor", 3: "wall", 4: "floor", 5: "on", 6: "floor", 7: "floor"}
    assert {truth: things[r].place for truth, r in row.items()} == places


def test_a_dim_room_is_seen_in_its_own_light() -> None:
    room = np.concatenate((np.tile([[200.0, 198, 190]], (60, 1)), np.tile([[120.0, 60, 40]], (40, 1))))
    assert exposure(room * 0.7) * 0.7 == pytest.approx(exposure(room * 0.9) * 0.9)
    assert exposure(room * 0.01) == MOST_GAIN and exposure(np.full((5, 3), 255.0)) >= 1 / MOST_GAIN
    assert color_name(np.array([[10.0, 10, 10]] * 2 + [[200.0, 30, 30]] * 3)) == "red"  # most points, not their mean


def test_in_words(scene: SceneMap, things: list[Thing]) -> None:
    told = tell(things, named(scene))
    row = {truth: place_of(scene, truth) for truth in NAMES}
    assert told[row[CUP]].startswith("blue cup, ") and "on the brown table" in told[row[CUP]]
    assert "holds" in told[row[TABLE]] and "red box" in told[row[TABLE]] and "blue cup" in told[row[TABLE]]
    assert "next to yellow crate" in told[row[TABLE]]
    assert "on the wall" in told[row[PICTURE]]
    assert "largest crate" in told[row[FAR]] and "largest" not in told[row[CRATE]]
    assert "nearest crate to " in told[row[CRATE]] and "brown table" in told[row[CRATE]].split("nearest crate to ")[1]
    assert all(text.endswith(".") and len(text.split()) <= 60 for text in told)


def test_without_names(scene: SceneMap, things: list[Thing]) -> None:
    told = tell(things, [None] * len(things))
    assert "red thing" in told[place_of(scene, BOX)] and "on the brown thing" in told[place_of(scene, BOX)]
    assert not any("largest" in text or "nearest" in text for text in told)


def test_of_many_things_the_words_stay_few() -> None:
    count = 30
    crowd = [
        Thing((0.4, 0.3, 0.2), "red", "floor", -1, (), tuple(j for j in range(count) if j != i), (0.5 * i, 0.0, 0.0))
        for i in range(count)
    ]
    names = [("coffee table", "office chair", "tv stand")[i % 3] for i in range(count)]
    assert max(len(text.split()) for text in tell(crowd, names)) <= 60


def test_no_instances_and_an_empty_map() -> None:
    scene = table_map()
    scene.drop(scene.ids.tolist())
    assert survey(scene) == [] and tell([], []) == []
    assert survey(SceneMap()) == []


def test_a_map_without_keyframes_is_taken_to_stand_upright(scene: SceneMap) -> None:
    bare = scene.copy()
    bare._keyframes = SceneMap()._keyframes
    np.testing.assert_array_equal(upright_axes(bare), np.eye(3))
    things, row = survey(bare), {truth: place_of(bare, truth) for truth in NAMES}
    assert things[row[CUP]].support == row[TABLE] and things[row[PICTURE]].place == "wall"
    assert things[row[TABLE]].size_m == pytest.approx(HIGH[TABLE - 1] - LOW[TABLE - 1], abs=0.06)


def test_an_instance_that_lost_its_points_holds_nothing_and_is_beside_nothing(scene: SceneMap) -> None:
    bare = scene.copy()
    gone = place_of(bare, CUP)
    none = torch.zeros(0, dtype=torch.int32)
    bare.set_points(bare.ids.tolist()[gone], none.long(), none, none)
    things = survey(bare)
    assert len(things) == len(bare) and things[gone].size_m == (0.0, 0.0, 0.0) and things[gone].holds == ()
    row = {truth: place_of(bare, truth) for truth in NAMES}
    assert things[row[BOX]].support == row[TABLE] and things[row[TABLE]].support == -1
    assert all(gone not in thing.beside and gone not in thing.holds for thing in things)
    assert all(np.isfinite(thing.center).all() for thing in things)
    assert len(tell(things, named(bare))) == len(bare)


def test_colours_by_their_names_also_in_the_shade() -> None:
    assert set(COLORS) == set(ROOM_COLORS)
    for name, rgb in ROOM_COLORS.items():
        assert color_name(np.array([rgb]) * 255) == name
        if name not in ("white", "beige", "grey", "orange"):  # in the shade these look like others
            assert color_name(np.array([rgb]) * 0.8 * 255) == name
