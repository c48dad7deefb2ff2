"""What leaves the map for want of evidence."""

from __future__ import annotations

import torch

from seg3r.reconstruct.sensor import Sensor
from seg3r.refine.prune import Prune, Strewn, Suppress, Unconfirmed
from seg3r.scene import SceneMap
from seg3r.types import Masks, Matches
from tests.loops import assert_sound, segments_of
from tests.refine.maps import add, mapped, remaining
from tests.worlds import table_scene, walk

VIEW = Sensor().view(walk(table_scene(), 1, (60, 80))[0][0])


def test_prune_drops_the_rare_and_the_small() -> None:
    scene = SceneMap()
    ids = add(scene, [(5, 30), (32, 34), (40, 70)], [-1, -1, -1])
    add(scene, [(5, 30), (32, 34)], ids[:2])
    small = int(scene.sizes[1])
    points = scene.points
    assert remaining(Prune(2, small), scene.copy()) == [0, 1]
    assert remaining(Prune(2, small + 1), scene.copy()) == [0]
    assert remaining(Prune(3, 1), scene.copy()) == []
    assert remaining(Prune(0, 0), scene.copy()) == [0, 1, 2]
    pruned = Prune()(scene)
    assert torch.equal(pruned.points, points)
    assert_sound(pruned)


def test_unconfirmed_goes_by_evidence_not_by_age() -> None:
    scene = SceneMap()
    twice, once = add(scene, [(5, 30), (40, 70)], [-1, -1])
    add(scene, [(5, 30)], [twice])
    for misses in range(2, 6):
        assert Unconfirmed(misses=5)(scene).ids.tolist() == [twice, once]
        add(scene, [], [])
        assert scene.missed.tolist() == [misses - 1, misses]
    assert scene.missed.tolist() == [4, 5]
    assert Unconfirmed(misses=5)(scene).ids.tolist() == [twice]
    add(scene, [], [])
    assert Unconfirmed(misses=5)(scene).ids.tolist() == [twice], "seen twice: it stays, however long it is missed"


def test_out_of_view_is_no_evidence() -> None:
    scene = SceneMap()
    add(scene, [(5, 30)], [-1])
    away = Sensor().view(table_scene().frame(1, table_scene().camera((0, -1.7, 1.5), (0, -5, 1), (60, 80)))[0])
    nothing = segments_of(away, Masks(torch.zeros(0, 60, 80, dtype=torch.bool), torch.zeros(0)))
    for _ in range(9):
        scene.add(away, nothing, Matches(torch.zeros(0, dtype=torch.int64), torch.zeros(0)))
    assert remaining(Unconfirmed(), scene) == [0]


def test_suppress_drops_doubles_and_what_lies_inside() -> None:
    assert remaining(Suppress(), mapped((20, 50), (20, 50))) == [0], "of equals the older stays"
    assert remaining(Suppress(), mapped((30, 40), (20, 50))) == [1], "the larger stays"
    assert remaining(Suppress(contained=2.0), mapped((30, 40), (20, 50))) == [0, 1], "parts are wanted"
    assert remaining(Suppress(contained=2.0), mapped((20, 50), (20, 50), (20, 50))) == [0]
    assert remaining(Suppress(), mapped((20, 50), (40, 70))) == [0, 1]
    assert remaining(Suppress(), mapped((20, 50), (25, 45), (30, 40))) == [0], "a nest"
    assert len(Suppress()(SceneMap())) == 0


def test_points_that_few_frames_measured_are_forgotten() -> None:
    scene = SceneMap()
    (only,) = add(scene, [(5, 30)], [-1])
    whole = scene.point_count
    moved = table_scene().frame(1, table_scene().camera((0.3, -1.7, 1.5), (0, 0, 0.5), (60, 80)))[0]
    strange = Sensor().view(moved)
    for _ in range(7):
        add(scene, [(5, 30)], [only])
    scene.add(strange, segments_of(strange, Masks(torch.zeros(0, 60, 80, dtype=torch.bool), torch.zeros(0))),
              Matches(torch.zeros(0, dtype=torch.int64), torch.zeros(0)))
    assert scene.point_count > whole
    kept = Strewn(4)(scene.copy())
    assert kept.point_count == int((scene.seen >= 4).sum()) < scene.point_count
    assert torch.equal(kept.points, scene.points[scene.seen >= 4])
    assert torch.equal(kept.places_of(only), scene.places_of(only))
    assert_sound(kept)
    assert Strewn(0)(scene.copy()).point_count == scene.point_count


def test_a_short_recording_keeps_what_it_has() -> None:
    scene = SceneMap()
    add(scene, [(5, 30)], [-1])
    assert Strewn(4)(scene.copy()).point_count == scene.point_count
    assert Strewn(4)(SceneMap()).point_count == 0
