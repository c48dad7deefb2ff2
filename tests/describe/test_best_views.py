"""The few looks that show an instance best."""

from __future__ import annotations

import pytest
import torch

from seg3r.describe.best_views import best_views, share_in_view
from seg3r.scene import SceneMap
from tests.maps import table_map
from tests.seen import camera_at, sighting, square

HALF = torch.stack((torch.zeros(50), torch.linspace(-1, 1, 50), torch.zeros(50)), 1)


def only(looks: tuple, scene: SceneMap | None = None) -> tuple[SceneMap, int]:
    scene = scene or table_map()
    instance_id = int(scene.ids[0])
    scene.sightings[instance_id] = looks
    return scene, instance_id


def test_share_of_points_in_view() -> None:
    near, far = camera_at((2, 0, 0), (0, 0, 0)), camera_at((2, 1.2, 0), (0, 1.2, 0))
    assert share_in_view(HALF, sighting(square(), camera=near)) == 1.0
    part = share_in_view(HALF, sighting(square(), camera=far))
    assert 0.4 < part < 0.6
    behind = camera_at((2, 0, 0), (4, 0, 0))
    assert share_in_view(HALF, sighting(square(), camera=behind)) == 0.0
    assert share_in_view(torch.zeros(0, 3), sighting(square(), camera=behind)) == 1.0


def test_most_of_it_in_view_comes_first_whatever_was_thought_on_the_way() -> None:
    scene = table_map()
    middle = scene.places_of(int(scene.ids[0])).mean(0).tolist()
    eye = (middle[0], middle[1] - 3, middle[2] + 1)
    whole = sighting(square(), frame=1, area=9000, camera=camera_at(eye, middle))
    off = (middle[0] + 5, middle[1], middle[2])
    part = sighting(square(), frame=0, area=9000, camera=camera_at(eye, off), degrees=60)
    scene, instance_id = only((part, whole), scene)
    assert [look.frame_index for look in best_views(scene, instance_id)] == [1, 0]


def test_larger_is_better_until_it_is_large() -> None:
    looks = tuple(
        sighting(square(), frame=n, area=area, degrees=60 * n, camera=camera_at((0, -4, 1.5), (0, 0, 0.8)))
        for n, area in enumerate((100, 2000, 96**2, 4 * 96**2))
    )
    scene, instance_id = only(looks)
    assert [look.frame_index for look in best_views(scene, instance_id, 4)] == [2, 3, 1, 0]


def test_looks_from_one_side_count_once_while_there_are_others() -> None:
    camera = camera_at((0, -4, 1.5), (0, 0, 0.8))
    looks = tuple(
        sighting(square(), frame=n, area=1000 - 10 * n, degrees=d, camera=camera)
        for n, d in enumerate((0, 5, 10, 40, 80))
    )
    scene, instance_id = only(looks)
    assert [look.frame_index for look in best_views(scene, instance_id, 3)] == [0, 3, 4]
    assert [look.frame_index for look in best_views(scene, instance_id, 5)] == [0, 3, 4, 1, 2]
    assert [look.frame_index for look in best_views(scene, instance_id, 1)] == [0]


@pytest.mark.parametrize("k", [0, 1, 3, 9])
def test_never_more_than_there_are(k: int) -> None:
    scene = table_map()
    for i in scene.ids.tolist():
        chosen = best_views(scene, i, k)
        assert len(chosen) == min(k, len(scene.sightings[i]))
        assert len({id(look) for look in chosen}) == len(chosen)


def test_never_seen_well() -> None:
    scene, instance_id = only(())
    assert best_views(scene, instance_id) == ()
    del scene.sightings[instance_id]
    assert best_views(scene, instance_id) == ()
