"""A point is the instance's that most frames gave it to."""

from __future__ import annotations

import torch

from seg3r.refine.outvote import Outvote
from seg3r.scene import SceneMap
from tests.loops import assert_sound
from tests.refine.maps import add


def test_a_scrap_loses_what_was_seen_more_often_as_another() -> None:
    scene = SceneMap()
    (often,) = add(scene, [(5, 30)], [-1])
    for _ in range(5):
        add(scene, [(5, 30)], [often])
    scrap, beside = add(scene, [(5, 20), (40, 70)], [-1, -1])
    add(scene, [(5, 20)], [scrap])
    everything, alone = scene.points_of(often)[0], scene.points_of(beside)[0]
    assert len(scene.points_of(scrap)[0]) > 0
    voted = Outvote(0.0)(scene)
    assert torch.equal(voted.points_of(often)[0], everything)
    assert len(voted.points_of(scrap)[0]) == 0
    assert torch.equal(voted.points_of(beside)[0], alone)
    assert_sound(voted)


def test_a_tie_takes_nothing_from_anyone() -> None:
    scene = SceneMap()
    ids = add(scene, [(5, 30), (20, 45)], [-1, -1])
    before = {i: scene.points_of(i)[0] for i in ids}
    assert len(before) == 2
    assert len(scene.shared_with(ids[0])[0]) == 1
    voted = Outvote(0.0)(scene)
    assert all(torch.equal(voted.points_of(i)[0], points) for i, points in before.items())


def test_a_point_that_few_frames_gave_to_anyone_is_nobodys() -> None:
    scene = SceneMap()
    (rare,) = add(scene, [(5, 30)], [-1])
    for _ in range(9):
        add(scene, [], [])
    assert len(Outvote(0.05)(scene.copy()).points_of(rare)[0]) > 0
    assert len(Outvote(0.2)(scene.copy()).points_of(rare)[0]) == 0


def test_whoever_is_outvoted_by_nobody_stays_whole() -> None:
    scene = SceneMap()
    ids = add(scene, [(5, 30), (40, 70)], [-1, -1])
    add(scene, [(5, 30), (40, 70)], ids)
    voted = Outvote()(scene.copy())
    assert torch.equal(voted.owners, scene.owners) and torch.equal(voted.hits, scene.hits)
    assert torch.equal(voted.views, scene.views)


def test_an_empty_map_stays_empty() -> None:
    assert len(Outvote()(SceneMap())) == 0
