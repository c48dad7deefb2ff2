"""Maps that nobody walked: a cloud, instances of others, crops from posed images."""

from __future__ import annotations

import filecmp
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import config

from seg3r.errors import InputError
from seg3r.lift import Lift
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.scene import keyframes as room
from seg3r.scene.build import add_sightings, map_from_cloud, set_instances
from seg3r.scene.combine import union
from seg3r.scene.keyframes import moved
from seg3r.types import Camera, Keyframe, Labels, Masks, Matches, pack_masks
from tests.loops import assert_same_map, assert_sound
from tests.maps import table_map
from tests.worlds import table_scene, walk

WALKED = walk(table_scene(), 4, (90, 120))


def cloud(seed: int = 0, count: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.uniform(-1, 1, (count, 3)).astype(np.float32))
    return points, torch.from_numpy(rng.integers(0, 256, (count, 3)).astype(np.uint8))


def rows(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


def measured() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the cameras of the walk see of the table: points, colours, truth ids."""
    points, colors, ids = [], [], []
    for frame, truth in WALKED:
        view = Sensor().view(frame)
        good = view.confidence > 0
        points.append(view.points[good])
        colors.append(frame.rgb[good])
        ids.append(truth[good])
    return torch.cat(points), torch.cat(colors), torch.cat(ids)


# ---- the cloud -------------------------------------------------------------------------------------------------------


def test_points_stay_as_they_are_in_order_and_number() -> None:
    """Also those that share a voxel; colours and normals with them, and on disk."""
    points, colors = cloud()
    points[300:] = points[:300] + 0.001
    normals = torch.nn.functional.normalize(torch.randn(600, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    scene = map_from_cloud(points, colors, normals=3 * normals)
    assert torch.equal(scene.points, points) and torch.equal(scene.colors, colors)
    assert scene.normals is not None and torch.allclose(scene.normals, normals, atol=1e-6)
    assert (scene.voxel_m, len(scene), scene.frames, scene.point_count) == (0.02, 0, 0, 600)
    assert map_from_cloud(points, colors).normals is None


def test_a_cloud_of_any_density_is_found_again(tmp_path: Path) -> None:
    """Voxels shrink until the grid can hold all; every point is seen where a camera sees it."""
    rng = np.random.default_rng(0)
    points = torch.from_numpy(np.append(rng.uniform(-0.05, 0.05, (20_000, 2)), np.ones((20_000, 1)), 1)).float()
    scene = map_from_cloud(points, torch.zeros(20_000, 3, dtype=torch.uint8))
    assert scene.voxel_m < 0.02
    with pytest.raises(InputError, match=r"voxel_m=0\.1: more than 3584 points in a cube of 0\.8 m; choose smaller"):
        map_from_cloud(points, torch.zeros(20_000, 3, dtype=torch.uint8), voxel_m=0.1)
    frame, _ = WALKED[0]
    K = torch.tensor([[100.0, 0, 60], [0, 100, 45], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K, torch.eye(4, dtype=torch.float64), (90, 120))
    view = Sensor().view(replace(frame, depth=torch.ones(90, 120), camera=camera))
    assert sorted(scene.visible(view).points.tolist()) == list(range(20_000))
    scene.save(tmp_path / "m")
    assert torch.equal(SceneMap.load(tmp_path / "m").points, points)


def test_a_walk_goes_on_over_a_crowded_cloud() -> None:
    """Measurements join or extend it; its points stay where they are, and no list of a block runs over."""
    frame, ids = WALKED[0]
    view = Sensor().view(frame)
    points = view.points[view.confidence > 0]
    points = torch.cat((points, points + 0.0005, points - 0.0005))
    scene = map_from_cloud(points, torch.zeros(len(points), 3, dtype=torch.uint8), voxel_m=0.05)
    segments = Lift()(view, Masks((ids == 2)[None], torch.ones(1)))
    scene.add(view, segments, Matches(rows(-1), torch.ones(1)))
    assert torch.equal(scene.points[: len(points)], points)
    assert len(scene) == 1 and int(scene.sizes[0]) > 0
    assert np.array_equal(scene.T_world_map, np.eye(4)), "the grid of a map stays where its points are"


def keyframe_of(index: int, width: int = 320) -> Keyframe:
    frame, ids = walk(table_scene(), 4, (3 * width // 4, width))[index]
    assert frame.depth is not None and frame.camera is not None
    masks = torch.stack([ids == i for i in (2, 3)])
    return Keyframe(
        frame.index, frame.camera, frame.depth, pack_masks(masks), rows(70, -1), torch.tensor([0.9, 0.25]),
        torch.eye(2, 3), ("table", None),
    )


def test_keyframes_come_along_reduced(tmp_path: Path) -> None:
    points, colors, _ = measured()
    given = [keyframe_of(i) for i in range(3)]
    scene = map_from_cloud(points, colors, keyframes=given)
    scene.save(tmp_path / "m")
    for held in (scene.keyframes, SceneMap.load(tmp_path / "m").keyframes):
        assert [k.frame_index for k in held] == [0, 1, 2]
        for k, before in zip(held, given, strict=True):
            assert k.camera.size == (120, 160) and k.depth.dtype == torch.float16
            assert torch.equal(k.depth, before.depth[::2, ::2].half())
            assert torch.equal(k.masks, before.masks.reshape(2, 120, 2, 160, 2).any(4).any(2))
            assert k.instance_ids.tolist() == [-1, -1] and k.names == ("table", None)
            assert k.scores is not None and k.scores.tolist() == [pytest.approx(0.9), 0.25]
            assert k.features is not None and k.features.dtype == torch.float16
        seen = scene.project(torch.arange(scene.point_count), held[0], 0.05)
        assert int((seen >= 0).sum()) > 1000
    bare = replace(given[0], packed_masks=given[0].packed_masks[:0], instance_ids=rows(), scores=None, features=None,
                   names=None)
    assert map_from_cloud(points, colors, keyframes=[bare]).keyframes[0].masks.shape == (0, 120, 160)
    many = [replace(keyframe_of(0, 16), frame_index=i) for i in range(room.CAP + 5)]
    assert len(map_from_cloud(points, colors, keyframes=many).keyframes) <= room.CAP


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"points": torch.zeros(4, 2)}, r"points=: expected \[4, 3\], got \[4, 2\]"),
        ({"points": torch.full((4, 3), torch.nan)}, "points=: holds numbers that are not finite"),
        (
            {"points": torch.tensor([[0.0, 0, 0]] * 3 + [[0, 2e5, 0]])},
            "points=: spread further than the 168 km that a map reaches",
        ),
        ({"colors": torch.zeros(3, 3, dtype=torch.uint8)}, r"colors=: expected \[4, 3\], got \[3, 3\]"),
        ({"normals": torch.ones(5, 3)}, r"normals=: expected \[4, 3\], got \[5, 3\]"),
        ({"normals": torch.full((4, 3), torch.inf)}, "normals=: holds numbers that are not finite"),
        ({"voxel_m": 0.0}, "voxel_m must be positive, got 0"),
        ({"keyframes": [keyframe_of(1, 16), keyframe_of(1, 16)]}, "keyframes=: a frame comes twice"),
        (
            {"keyframes": [replace(k := keyframe_of(1, 16), camera=replace(k.camera, K=-k.camera.K))]},
            "keyframes=: frame 1: intrinsics need finite, positive focal lengths",
        ),
    ],
)
def test_what_is_no_cloud_is_refused(change: dict, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "jaxtyping_disable", True)
    given = {"points": torch.zeros(4, 3), "colors": torch.zeros(4, 3, dtype=torch.uint8), **change}
    with pytest.raises(InputError, match=says) as caught:
        map_from_cloud(given.pop("points"), given.pop("colors"), **given)
    assert "\n" not in str(caught.value)


def test_a_cloud_far_from_the_origin_is_the_same_cloud() -> None:
    """UTM: its points are counted from near them; in and out they are where they are."""
    points, colors, truth = measured()
    shift = torch.tensor([5e5, 5.4e6, 100.0], dtype=torch.float64)
    near, far = (
        map_from_cloud(p, colors, keyframes=[replace(k := keyframe_of(0), camera=moved(k.camera, by))])
        for p, by in ((points.double(), 0 * shift), (points.double() + shift, shift))
    )
    assert far.origin.tolist() == shift.tolist() and not near.origin.any()
    assert (far.points - near.points).abs().max() < 1e-5
    assert (far.world_points - points.double() - shift).abs().max() < 1e-5
    own = [(truth == i).nonzero().flatten() for i in (2, 3)]
    for scene in (near, far):
        set_instances(scene, own, torch.ones(2))
    assert torch.equal(far.labels(points.double() + shift), near.labels(points))
    frames = [frame for frame, _ in WALKED]
    add_sightings(near, frames)
    add_sightings(far, [replace(f, camera=moved(f.camera, shift)) for f in frames])
    assert [s.frame_index for s in far.sightings[1]] == [s.frame_index for s in near.sightings[1]] != []
    seen = [scene.project(torch.arange(scene.point_count), scene.keyframes[0], 0.05) for scene in (near, far)]
    assert float((seen[0] == seen[1]).float().mean()) > 0.99
    both, _ = union(near, map_from_cloud(points.double() + 1e4, colors))
    assert both.point_count > near.point_count


# ---- instances -------------------------------------------------------------------------------------------------------


def test_instances_are_what_was_given(tmp_path: Path) -> None:
    scene = map_from_cloud(*cloud())
    own = [torch.arange(0, 100), torch.arange(200, 450).flip(0), torch.arange(90, 110).to(torch.int32)]
    ids = set_instances(
        scene, own, torch.tensor([0.5, 0.9, 0.7]), features=torch.tensor([[3.0, 4], [0, 0], [1, 0]]),
        names=("chair", None, "cup"),
    )
    assert ids.tolist() == scene.ids.tolist() == [1, 2, 3]
    scene.save(tmp_path / "m")
    for held in (scene, SceneMap.load(tmp_path / "m")):
        assert_sound(held)
        assert [held.points_of(i)[0].tolist() for i in (1, 2, 3)] == [sorted(p.tolist()) for p in own]
        assert torch.equal(held.scores, torch.tensor([0.5, 0.9, 0.7])), "as the network gave them"
        assert torch.allclose(held.features, torch.tensor([[0.6, 0.8], [0, 0], [1, 0]]))
        assert held.names == ("chair", None, "cup")
        owner = held.best_owners
        assert owner[:90].eq(0).all() and owner[90:110].eq(2).all(), "of two owners the one of higher score"
        assert owner[110:200].eq(-1).all() and owner[200:450].eq(1).all() and owner[450:].eq(-1).all()
    scene.save(tmp_path / "again")
    SceneMap.load(tmp_path / "m").save(tmp_path / "back")
    assert filecmp.cmp(tmp_path / "m", tmp_path / "again", shallow=False)
    assert filecmp.cmp(tmp_path / "m", tmp_path / "back", shallow=False)
    assert_same_map(scene, SceneMap.load(tmp_path / "m"))


def test_an_id_stays_where_more_than_half_overlaps() -> None:
    """IoU of points: 67 of 100 + 100 is just over a half, 66 is not; one to one, the best pair first."""
    scene = map_from_cloud(*cloud())
    score = torch.tensor([0.5])
    assert set_instances(scene, [torch.arange(100)], score).tolist() == [1]
    assert set_instances(scene, [torch.arange(33, 133)], score).tolist() == [1]
    assert set_instances(scene, [torch.arange(67, 167)], score).tolist() == [2]
    both = set_instances(scene, [torch.arange(67, 160), torch.arange(67, 166), torch.arange(300, 310)], torch.ones(3))
    assert both.tolist() == [3, 2, 4]
    assert set_instances(scene, [], torch.zeros(0)).tolist() == [] and len(scene) == 0
    assert set_instances(scene, [torch.arange(67, 166)], score).tolist() == [5], "never used again"
    assert scene.next_id == 6


def test_who_is_the_same_does_not_hang_on_the_order_of_the_given() -> None:
    rng = np.random.default_rng(1)
    base = map_from_cloud(*cloud())
    stood = [torch.from_numpy(rng.choice(600, 80, replace=False)) for _ in range(5)]
    set_instances(base, stood, torch.linspace(0, 1, 5))
    given = [torch.cat((s[: int(rng.integers(40, 80))], rows())) for s in stood]
    first = base.copy()
    ids = set_instances(first, given, torch.ones(5))
    assert {1, 2, 3, 4, 5} & set(ids.tolist())
    order = rng.permutation(5)
    other = set_instances(base.copy(), [given[i] for i in order], torch.ones(5))
    kept = {int(i) for i in ids if i <= 5}
    assert {int(i) for i in other if i <= 5} == kept
    assert all(int(other[n]) == int(ids[i]) for n, i in enumerate(order) if int(ids[i]) <= 5)


def test_the_same_thing_keeps_what_is_known_of_it() -> None:
    """A walked map segmented anew: sightings, votes and labels stay with the id; the rest goes with its id."""
    scene = table_map()
    ids = scene.ids.tolist()
    scene.set_labels(Labels(("a", "b", "c", "d"), torch.full((4,), 0.5)))
    before, by_views = scene.copy(), scene.scores
    own = [scene.points_of(i)[0] for i in ids]
    thrown = scene.keyframes[0].instance_ids.tolist()
    got = set_instances(scene, [own[2], own[0][: len(own[0]) // 4]], torch.tensor([0.125, 1.0]))
    assert got.tolist() == [ids[2], before.next_id]
    assert scene.scores.tolist() == [0.125, 1.0] and by_views[2] != 0.125
    assert scene.sightings[ids[2]] is before.sightings[ids[2]] and not scene.sightings.get(before.next_id)
    assert scene.names == ("c", None) and scene.name_votes == {ids[2]: before.name_votes[ids[2]]}
    assert scene.observations.tolist() == [int(before.observations[2]), 0]
    assert thrown != (left := scene.keyframes[0].instance_ids.tolist()) and set(left) <= {-1, ids[2]}
    assert_sound(scene)
    set_instances(scene, [own[2]], torch.ones(1), names=["lamp"])
    assert scene.ids.tolist() == [ids[2]] and scene.names == ("lamp",), "a label of before says nothing of a new name"
    assert len(before) == 4 and before.names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"points": [rows(0, 600)]}, r"points=: instance 0 names point 600 of a map with points 0\.\.599"),
        ({"points": [rows(-1, 5)]}, "points=: instance 0 names point -1 of"),
        ({"points": [rows(3, 5, 3)]}, "points=: instance 0 names a point twice"),
        ({"points": [rows()]}, "points=: instance 0 has no points"),
        ({"points": [torch.ones(600, dtype=torch.bool)]}, r"points=: instance 0: expected row numbers; of a mask take"),
        ({"points": [torch.ones(3)]}, "points=: instance 0: expected row numbers"),
        ({"points": [rows(1)[None]]}, "points=: instance 0: expected row numbers"),
        ({"scores": torch.tensor([0.5, 0.5])}, "scores=: 2 for 1 instances; give one for each"),
        ({"scores": torch.tensor([torch.nan])}, r"scores=: one is not in 0\.\.1"),
        ({"scores": torch.tensor([1.5])}, r"scores=: one is not in 0\.\.1"),
        ({"features": torch.ones(2, 4)}, "features=: 2 for 1 instances"),
        ({"features": torch.full((1, 4), torch.inf)}, "features=: expected finite numbers"),
        ({"features": torch.ones(1)}, "features=: expected finite numbers, one row an instance"),
        ({"names": ("a", "b")}, "names=: 2 for 1 instances"),
        ({"names": (3,)}, "names=: each is a text or None"),
    ],
)
def test_wrong_instances_are_refused_and_change_nothing(
    change: dict, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "jaxtyping_disable", True)
    scene = map_from_cloud(*cloud())
    set_instances(scene, [torch.arange(9)], torch.ones(1), names=["x"])
    before = scene.copy()
    given = {"points": [rows(0, 1)], "scores": torch.tensor([0.5]), **change}
    with pytest.raises(InputError, match=says) as caught:
        set_instances(scene, given.pop("points"), given.pop("scores"), **given)
    assert "\n" not in str(caught.value)
    assert_same_map(before, scene)


def test_labels_of_any_points() -> None:
    points, colors = cloud()
    scene = map_from_cloud(points, colors)
    assert scene.labels(points).eq(-1).all()
    ids = set_instances(scene, [torch.arange(100), torch.arange(200, 300)], torch.ones(2))
    told = scene.labels(points.double(), 1e-6)
    assert told[:100].eq(ids[0]).all() and told[200:300].eq(ids[1]).all() and told[300:].eq(-1).all()
    order = torch.randperm(600, generator=torch.Generator().manual_seed(3))
    assert torch.equal(scene.labels(points[order], 1e-6), told[order]), "the same order, the same number"
    near = points[:1] + torch.tensor([[0.03, 0, 0]])
    assert scene.labels(near, 0.029).tolist() == [-1] and scene.labels(points[:1], 0.029).tolist() == [1]
    assert scene.labels(torch.full((1, 3), 50.0)).tolist() == [-1]
    assert scene.labels(torch.zeros(0, 3)).tolist() == []
    with pytest.raises(InputError, match="points= must be finite"):
        scene.labels(torch.full((1, 3), torch.nan))
    with pytest.raises(InputError, match="reach_m= must be positive, got 0"):
        scene.labels(points, 0.0)


def test_two_clouds_in_one() -> None:
    one, two = (map_from_cloud(*cloud(seed), normals=torch.ones(600, 3)) for seed in (0, 1))
    set_instances(two, [torch.arange(50)], torch.tensor([0.25]), names=["cup"])
    two.set_labels(Labels(("mug",), torch.ones(1)))
    both, renamed = union(one, two)
    assert renamed == {1: 1} and both.names == ("mug",) and both.name_votes == {1: {"cup": 0.25}}
    assert both.scores.tolist() == [0.25]
    assert torch.equal(both.points[:600], one.points)
    assert both.normals is not None and torch.allclose(both.normals, torch.full((1, 3), 3**-0.5))


# ---- crops -----------------------------------------------------------------------------------------------------------


def test_crops_of_posed_images_name_a_cloud() -> None:
    points, colors, truth = measured()
    scene = map_from_cloud(points, colors)
    own = [(truth == i).nonzero().flatten() for i in (2, 3, 4, 5)]
    set_instances(scene, own, torch.ones(4))
    add_sightings(scene, [frame for frame, _ in WALKED])
    for i, thing in enumerate((2, 3, 4, 5), 1):
        looks = scene.sightings[i]
        assert looks and [x.score for x in looks] == sorted((x.score for x in looks), reverse=True)
        best = looks[0]
        frame, ids = WALKED[best.frame_index]
        shown = (ids == thing).nonzero()
        low, high = shown.min(0).values, shown.max(0).values + 1
        box = torch.tensor(best.box)
        assert (box[:2] - low).abs().max() <= 4 and (box[2:] - high).abs().max() <= 4, "the box of the thing"
        inside = best.crop[best.mask].float().mean(0)
        assert (inside - frame.rgb[ids == thing].float().mean(0)).abs().max() < 12, "the mask lies on the thing"
    bare = replace(WALKED[0][0], depth=None)
    with pytest.raises(InputError, match="frames=: frame 0 has no depth; crops are cut from posed images with depth"):
        add_sightings(scene, [bare])


def test_what_no_image_shows_gets_no_crop() -> None:
    points, colors, _ = measured()
    scene = map_from_cloud(points + 5, colors)
    set_instances(scene, [torch.arange(500)], torch.ones(1))
    add_sightings(scene, [frame for frame, _ in WALKED])
    assert not scene.sightings.get(1)
    empty = map_from_cloud(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))
    add_sightings(empty, [WALKED[0][0]])
    assert len(empty) == 0

