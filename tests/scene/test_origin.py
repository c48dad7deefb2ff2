"""Where a map's coordinates begin, and what that must not change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap, io
from seg3r.scene.combine import counted_from, select, union
from seg3r.types import Masks, Matches
from tests.loops import assert_same_map, assert_sound, mapper_of, moved, run, segments_of
from tests.maps import table_map
from tests.worlds import table_scene, walk

FAR = torch.tensor([500_000.0, 5_400_000.0, 100.0], dtype=torch.float64)
WALKED = walk(table_scene(), 8, (60, 80))


def at(origin: torch.Tensor) -> SceneMap:
    """The map of the table, standing so far away."""
    scene = table_map()
    scene._origin = origin.clone()
    return scene


def test_a_new_map_counts_from_zero_until_it_is_told() -> None:
    scene = SceneMap()
    assert scene.origin.tolist() == [0, 0, 0] and not scene.has_origin
    scene.origin = FAR
    assert torch.equal(scene.origin, FAR) and scene.has_origin
    scene.origin[0] = 7
    assert torch.equal(scene.origin, FAR), "what is handed out is a copy"
    with pytest.raises(InputError, match="finite"):
        scene.origin = FAR * torch.nan
    with pytest.raises(InputError, match="before the first view"):
        table_map().origin = FAR


def test_points_in_the_world_are_doubles() -> None:
    scene = at(FAR)
    assert torch.equal(scene.world_points, scene.points.double() + FAR)
    back = scene.from_origin(scene.world_points.numpy())
    assert np.abs(back - scene.points.numpy()).max() < 1e-8
    near = table_map()
    assert torch.equal(torch.from_numpy(near.from_origin(near.points.numpy())), near.points)


def test_the_origin_is_saved(tmp_path: Path) -> None:
    for n, scene in enumerate((table_map(), at(FAR))):
        scene.save(tmp_path / f"{n}")
        again = SceneMap.load(tmp_path / f"{n}")
        assert torch.equal(again.origin, scene.origin) and again.has_origin == scene.has_origin
        assert_same_map(again, scene)
    empty = SceneMap()
    empty.origin = FAR
    empty.save(tmp_path / "empty")
    assert torch.equal(SceneMap.load(tmp_path / "empty").origin, FAR), "of a run that waits for its first view"


@pytest.mark.parametrize("origin", [[1, 2], "far", [0, 0, float("inf")], [None] * 3, {}, 5, [[0], [0], [0]]])
def test_a_damaged_origin_is_refused(origin: object, tmp_path: Path) -> None:
    at(FAR).save(tmp_path / "map")
    arrays, header = io.read(tmp_path / "map")
    io.write(tmp_path / "map", arrays, {**header, "origin": origin})
    with pytest.raises(InputError, match="map: cannot be read as a map"):
        SceneMap.load(tmp_path / "map")


def test_a_map_saved_without_one_counts_from_zero(tmp_path: Path) -> None:
    table_map().save(tmp_path / "map")
    arrays, header = io.read(tmp_path / "map")
    assert json.dumps(header.pop("origin")) == "null"
    io.write(tmp_path / "map", arrays, header)
    assert_same_map(SceneMap.load(tmp_path / "map"), table_map())


def test_a_box_is_of_the_world() -> None:
    near, far = table_map(), at(FAR)
    box = torch.tensor([-0.5, -0.4, 0.5, 0.4, 0.4, 1.2])
    inside = select(near, box=box)
    assert 0 < inside.point_count < near.point_count
    assert_same_map(select(far, box=box.double() + FAR.repeat(2)), inside)
    assert torch.equal(select(far, box=box.double() + FAR.repeat(2)).origin, FAR)
    assert select(far, box=box).point_count == 0


def test_maps_of_different_origins_unite_in_one_world() -> None:
    """The same map, counted from another origin, is the same map: nothing is there twice."""
    scene = at(FAR)
    shift = torch.tensor([100.0, -300.0, 200.0], dtype=torch.float64)
    other = counted_from(scene, FAR - shift)
    assert (other.points - scene.points - shift).abs().max() < 2e-5
    assert (other.boxes - scene.boxes - shift.repeat(2)).abs().max() < 3e-5
    assert (other.world_points - scene.world_points).abs().max() < 2e-5
    for one, two in zip(scene.keyframes, other.keyframes, strict=True):
        assert torch.equal(two.camera.T_world_cam[:3, 3], one.camera.T_world_cam[:3, 3] + shift)
    assert_same_map(scene, at(FAR))
    both, renamed = union(scene, other)
    assert torch.equal(both.origin, FAR)
    assert_sound(both)
    assert both.point_count <= 1.01 * scene.point_count, "rounding moves a few points to the next voxel"
    for old, new in renamed.items():
        overlap = np.intersect1d(both.points_of(old)[0].numpy(), both.points_of(new)[0].numpy())
        assert len(overlap) > 0.97 * len(scene.points_of(old)[0])
        places = [look.camera.T_world_cam for look in both.sightings[new]]
        assert all((a - look.camera.T_world_cam).abs().max() < 1e-9
                   for a, look in zip(places, scene.sightings[old], strict=True))


def test_the_union_with_an_empty_map_lies_where_the_other_does() -> None:
    both, _ = union(SceneMap(), SceneMap())
    assert not both.has_origin
    empty = SceneMap()
    full = at(FAR)
    full.drop(full.ids.tolist())
    empty._instances = full._instances.copy()  # of its widths
    both, _ = union(empty, full)
    assert torch.equal(both.origin, FAR)
    assert (both.world_points.mean(0) - full.world_points.mean(0)).abs().max() < 0.05, "its voxels lie otherwise"


def test_maps_too_far_apart_are_not_united() -> None:
    with pytest.raises(InputError, match="further apart than 168 km"):
        union(table_map(), at(FAR))


def test_a_camera_beyond_the_grid_is_refused_and_changes_nothing() -> None:
    mapper = mapper_of(WALKED)
    run(mapper, WALKED[:3])
    before = mapper.scene.copy()
    for place in (1e6, 1e12, 1e20, 1e300):
        T = torch.eye(4, dtype=torch.float64)
        T[1, 3] = place
        frame, _ = moved(WALKED[3:4], T)[0]
        with pytest.raises(InputError, match="frame 3: its camera stands further from the first than the 168 km"):
            mapper.step(frame)
    assert_same_map(mapper.scene, before)


@pytest.mark.parametrize("wild", [1e4, 1e6, 1e12, 1e20, np.inf, np.nan])
def test_depth_without_end_costs_no_time_and_leaves_the_rest(wild: float) -> None:
    """Points further off than the grid reaches belong to nothing; those within it are the map's."""
    scene, sane = SceneMap(), SceneMap()
    for frame, ids in WALKED[:3]:
        view = Sensor().view(frame)
        masks = Masks(torch.stack([ids > 0]), torch.ones(1))
        segments = segments_of(view, masks)
        match = Matches(torch.tensor([1 if sane.frames else -1]), torch.ones(1))
        sane.overlap(view, segments)
        sane.add(view, segments, match)
        depth, points = view.depth.clone(), view.points.clone()
        depth[:20], points[:20] = wild, wild
        bad = replace(view, depth=depth, points=points)
        segments = segments_of(bad, masks)
        assert len(scene.overlap(bad, segments).ids) == len(scene)
        scene.add(bad, segments, match)
        assert_sound(scene)
    reached = torch.isfinite(scene.points).all(1) & (scene.points.abs() < 10).all(1)
    assert 0.4 * sane.point_count < int(reached.sum()) <= sane.point_count
    if wild > 1e5 or np.isnan(wild):
        assert bool(reached.all())
