"""The map: what holds of every one, and what each change does to it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.geometry import invert, transform, visible
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.scene.combine import select, union
from seg3r.types import Masks, Matches, Segments, View
from tests.loops import Looks, Sloppy, assert_same_map, assert_sound, mapper_of, masks_of, run, segments_of
from tests.worlds import table_scene, walk

SIZE = (60, 80)
WALKED = walk(table_scene(), 10, SIZE)
LOOKS = Looks(WALKED, {2: (1, 0, 0), 3: (0, 1, 0), 4: (0, 1, 0.2), 5: (0, 0.3, 1)})
VIEW, IDS = Sensor().view(WALKED[0][0]), WALKED[0][1]


def block(view: View, r0: int, c0: int, r1: int, c1: int) -> torch.Tensor:
    mask = torch.zeros(view.depth.shape, dtype=torch.bool)
    mask[r0:r1, c0:c1] = True
    return mask


def seen(view: View, *masks: torch.Tensor, **more: object) -> Segments:
    stack = torch.stack(masks) if masks else torch.zeros(0, *view.depth.shape, dtype=torch.bool)
    return segments_of(view, Masks(stack, torch.ones(len(masks)), **more))  # type: ignore[arg-type]


def add(scene: SceneMap, view: View, segments: Segments, ids: list[int] | None = None) -> list[int]:
    ids = [-1] * len(segments) if ids is None else ids
    return scene.add(view, segments, Matches(torch.tensor(ids, dtype=torch.int64), torch.ones(len(ids)))).tolist()


def two_maps() -> tuple[SceneMap, SceneMap]:
    """Of the two halves of one walk."""
    return tuple(run(mapper_of(WALKED, embed=LOOKS), part) for part in (WALKED[:3], WALKED[6:9]))  # type: ignore


# ---- adding ----------------------------------------------------------------------------------------------------------


def test_every_step_leaves_a_sound_map() -> None:
    """With masks lost, cut, invented, instances merged and dropped on the way."""
    mapper, born, alive = mapper_of(WALKED, Sloppy(WALKED), LOOKS), set(), set()
    for frame, _ in WALKED:
        scene = mapper.step(frame)
        assert_sound(scene)
        now = set(scene.ids.tolist())
        assert not (now - alive) & born, "an id came back from the dead"
        born, alive = born | now, now
        assert bool((scene.hits <= scene.observations[scene.owners[:, 0]]).all())
        assert bool((scene.seen <= scene.frames).all())
    assert scene.next_id > len(born) - 1
    assert len(born) > len(alive), "nothing was ever merged or dropped: the test shows nothing"


def test_points_are_those_of_the_image_one_for_each_voxel() -> None:
    scene = SceneMap(0.05, 0.049)  # no tolerance along the ray
    add(scene, VIEW, seen(VIEW, *masks_of(IDS).masks))
    usable = VIEW.points[VIEW.confidence > 0].to(torch.float64)
    keys = torch.floor(transform(invert(VIEW.camera.T_world_cam), usable) / 0.05).to(torch.int64)
    voxels, where = torch.unique(keys, dim=0, return_inverse=True)
    assert abs(scene.point_count - len(voxels)) <= 0.002 * len(voxels), "but for points on a border"
    counts = torch.bincount(where)
    means = torch.zeros(len(voxels), 3, dtype=torch.float64).index_add(0, where, usable) / counts[:, None]
    off = torch.cdist(scene.points.to(torch.float64), means).min(1).values
    assert float(off.quantile(0.99)) < 1e-5
    assert_sound(scene)


def test_seen_counts_frames_and_hits_count_the_frames_that_said_so() -> None:
    scene = SceneMap()
    mask = block(VIEW, 20, 30, 40, 50)
    (thing,) = add(scene, VIEW, seen(VIEW, mask))
    add(scene, VIEW, seen(VIEW, mask, mask), [thing, thing])  # two fragments: one frame, one hit
    add(scene, VIEW, seen(VIEW))
    points, hits, views = scene.points_of(thing)
    assert set(hits.tolist()) == {2}
    assert set(views.tolist()) == {2}, "views count only the frames that matched it"
    assert set(scene.seen[points].tolist()) == {3}
    assert scene.observations.tolist() == [3]
    add(scene, VIEW, seen(VIEW, block(VIEW, 20, 30, 40, 40)), [thing])  # the left half
    points, hits, views = scene.points_of(thing)
    assert set(views.tolist()) == {3}
    assert set(hits.tolist()) == {2, 3}


def test_masks_may_overlap() -> None:
    scene = SceneMap()
    large, small = block(VIEW, 10, 10, 50, 70), block(VIEW, 20, 20, 40, 40)
    a, b = add(scene, VIEW, seen(VIEW, large, small))
    inside = set(scene.points_of(b)[0].tolist())
    assert inside < set(scene.points_of(a)[0].tolist())
    assert [t.tolist() for t in scene.shared_with(a)] == [[b], [len(inside)]]
    assert_sound(scene)


def test_missed_counts_full_views_without_a_match() -> None:
    scene = SceneMap()
    mask = block(VIEW, 20, 30, 40, 50)
    (thing,) = add(scene, VIEW, seen(VIEW, mask))
    for expected in (1, 2):
        add(scene, VIEW, seen(VIEW))
        assert scene.missed.tolist() == [expected]
    away = dataclasses.replace(VIEW.frame, camera=table_scene().camera((0, -1.7, 1.5), (0, -5, 1), SIZE))
    add(scene, Sensor().view(away), seen(VIEW))
    assert scene.missed.tolist() == [2], "out of view is not missed"
    for hidden, expected in ((45, 2), (35, 3)):  # three quarters of it out of sight, then one
        depth = VIEW.depth.clone()
        depth[:, :hidden] = 0
        partly = Sensor().view(dataclasses.replace(VIEW.frame, depth=depth))
        add(scene, partly, seen(partly))
        assert scene.missed.tolist() == [expected]
    add(scene, VIEW, seen(VIEW, mask), [thing])
    assert scene.missed.tolist() == [0]


def test_looks_are_weighted_means_and_the_gallery_stays_diverse() -> None:
    scene = SceneMap()
    looks = torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0], [0, 1, 0]]), dim=1)
    large, small = block(VIEW, 20, 20, 40, 60), block(VIEW, 20, 20, 40, 30)
    (thing,) = add(scene, VIEW, seen(VIEW, large, features=looks[:1]))
    add(scene, VIEW, seen(VIEW, small, features=looks[1:]), [thing])
    add(scene, VIEW, seen(VIEW, small, features=torch.zeros(1, 3)), [thing])  # no evidence: changes nothing
    areas = torch.tensor([20 * 40.0, 20 * 10.0])
    assert torch.allclose(scene.features[0], torch.nn.functional.normalize(areas @ looks, dim=0), atol=1e-6)
    gallery, count = scene.gallery(torch.tensor([thing]))
    assert count.tolist() == [2]
    assert torch.equal(gallery[0, 1:3], looks)
    rng = torch.Generator().manual_seed(0)
    for _ in range(30):  # thirty looks almost alike do not push the odd one out
        alike = torch.nn.functional.normalize(looks[:1] + 0.02 * torch.randn(1, 3, generator=rng), dim=1)
        add(scene, VIEW, seen(VIEW, small, features=alike), [thing])
    gallery, count = scene.gallery(torch.tensor([thing]))
    assert count.tolist() == [8]
    assert float((gallery[0, 1:] @ looks[1]).max()) > 0.99
    assert torch.allclose(scene.features.norm(dim=1), torch.ones(1))


def test_one_look_counts_at_most_eight_times_the_mean() -> None:
    scene = SceneMap()
    looks = torch.eye(2)
    (thing,) = add(scene, VIEW, seen(VIEW, block(VIEW, 20, 20, 22, 25), features=looks[:1]))
    add(scene, VIEW, seen(VIEW, block(VIEW, 0, 0, 60, 80), features=looks[1:]), [thing])
    assert torch.allclose(scene.features[0], torch.nn.functional.normalize(torch.tensor([1.0, 8.0]), dim=0))
    assert scene.weights.tolist() == [10 + 80]


def test_names_are_votes() -> None:
    scene, mask = SceneMap(), block(VIEW, 20, 20, 40, 40)
    (thing,) = add(scene, VIEW, seen(VIEW, mask, names=("cup",)))
    add(scene, VIEW, seen(VIEW, mask, mask, names=("mug", None)), [thing, thing])
    add(scene, VIEW, seen(VIEW, mask, names=("cup",)), [thing])
    assert scene.name_votes == {thing: {"cup": 2.0, "mug": 1.0}}


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    scene, mask = SceneMap(), block(VIEW, 20, 20, 40, 40)
    add(scene, VIEW, seen(VIEW, mask, features=torch.eye(3)[:1]))
    before = scene.copy()
    both = seen(VIEW, mask, mask, features=torch.eye(3)[:2])
    with pytest.raises(InputError, match="1 matches for 2 segments of frame 0"):
        add(scene, VIEW, both, [-1])
    with pytest.raises(InputError, match="the map holds no instance 7"):
        add(scene, VIEW, both, [-1, 7])
    with pytest.raises(InputError, match=r"frame 0: descriptors of widths \(2, 0\) for a map of \(3, 0\)"):
        add(scene, VIEW, seen(VIEW, mask, features=torch.eye(2)[:1]), [1])
    with pytest.raises(InputError, match="voxel_m must be positive"):
        SceneMap(voxel_m=float("nan"))
    assert_same_map(before, scene)
    add(scene, VIEW, seen(VIEW))  # no masks, so no descriptors: that fits any map
    assert scene.frames == 2


def test_a_frame_without_depth_or_masks_is_taken_in() -> None:
    scene = SceneMap()
    blind = Sensor().view(dataclasses.replace(VIEW.frame, depth=torch.zeros(SIZE)))
    add(scene, blind, seen(blind))
    assert (scene.frames, scene.point_count, len(scene), len(scene.keyframes)) == (1, 0, 0, 1)
    assert scene.owners.shape == (0, 2)
    add(scene, VIEW, seen(VIEW, block(VIEW, 20, 20, 40, 40)))
    assert_sound(scene)
    assert len(scene) == 1


# ---- asking ----------------------------------------------------------------------------------------------------------


def test_overlap_counts_what_the_view_sees() -> None:
    scene = SceneMap()
    left, right, both = block(VIEW, 20, 20, 40, 40), block(VIEW, 20, 40, 40, 60), block(VIEW, 20, 20, 40, 60)
    a, b = add(scene, VIEW, seen(VIEW, left, right))
    segments = seen(VIEW, left, both)
    overlap = scene.overlap(VIEW, segments)
    size = {i: len(scene.points_of(i)[0]) for i in (a, b)}
    assert overlap.ids.tolist() == [a, b]
    assert overlap.shared.shape == (2, 2)
    own = overlap.instance_sizes.tolist()
    assert all(0.9 * size[i] <= n <= size[i] for i, n in zip((a, b), own, strict=True)), "a mean may leave its pixel"
    shared = overlap.shared.numpy()
    assert shared[0, 0] >= 0.9 * own[0]
    assert shared[0, 1] <= 0.1 * own[1]
    assert (shared[1] >= 0.9 * np.array(own)).all()
    assert (shared <= overlap.instance_sizes.numpy()).all()
    assert (shared <= overlap.segment_sizes.numpy()[:, None]).all()
    wide = overlap.widened(torch.tensor([a, b, 9]))
    assert wide.ids.tolist() == [a, b, 9]
    assert torch.equal(wide.shared[:, :2], overlap.shared)
    assert wide.shared[:, 2].tolist() == [0, 0]
    assert wide.instance_sizes.tolist() == [*own, 0]


def test_a_segment_off_the_map_has_its_size_in_voxels() -> None:
    scene = SceneMap()
    add(scene, VIEW, seen(VIEW, block(VIEW, 0, 0, 60, 30)))
    scene = select(scene, ids=[1])  # the right of the image is no longer mapped
    segments = seen(VIEW, block(VIEW, 10, 45, 50, 75))
    overlap = scene.overlap(VIEW, segments)
    voxels = torch.unique(torch.floor(segments.points / scene.voxel_m), dim=0)
    assert overlap.shared.sum() == 0
    assert abs(int(overlap.segment_sizes[0]) - len(voxels)) <= 0.1 * len(voxels), "another frame's voxels"


# ---- changing --------------------------------------------------------------------------------------------------------


def test_merge_is_a_union_with_counts_added_and_an_id_that_ends() -> None:
    scene = run(mapper_of(WALKED, Sloppy(WALKED), LOOKS), WALKED)
    a, b = scene.ids.tolist()[:2]
    scene.name_votes[a], scene.name_votes[b] = {"x": 1.0, "y": 0.5}, {"y": 1.0}
    before = {i: {p: (h, v) for p, h, v in zip(*(t.tolist() for t in scene.points_of(i)), strict=True)} for i in (a, b)}
    observed = dict(zip(scene.ids.tolist(), scene.observations.tolist(), strict=True))
    weights = dict(zip(scene.ids.tolist(), scene.weights.tolist(), strict=True))
    boxes = dict(zip(scene.ids.tolist(), scene.boxes, strict=True))
    others = {i: scene.points_of(i) for i in scene.ids.tolist() if i not in (a, b)}
    count, points, next_id = len(scene), scene.point_count, scene.next_id
    scene.merge(a, b)
    assert_sound(scene)
    expected = {
        p: tuple(np.add(before[a].get(p, (0, 0)), before[b].get(p, (0, 0))).tolist()) for p in before[a] | before[b]
    }
    assert {p: (h, v) for p, h, v in zip(*(t.tolist() for t in scene.points_of(a)), strict=True)} == expected
    assert (len(scene), scene.point_count) == (count - 1, points)
    assert b not in scene.ids.tolist()
    assert int(scene.pick("observations", torch.tensor([a]))) == observed[a] + observed[b]
    assert float(scene.pick("weight", torch.tensor([a]))) == pytest.approx(weights[a] + weights[b])
    assert scene.name_votes[a] == {"x": 1.0, "y": 1.5}
    assert b not in scene.name_votes
    assert b not in scene.sightings
    box = scene.pick("boxes", torch.tensor([a]))[0]
    assert torch.equal(box[:3], torch.minimum(boxes[a], boxes[b])[:3])
    assert torch.equal(box[3:], torch.maximum(boxes[a], boxes[b])[3:])
    for i, (p, h, v) in others.items():
        assert all(torch.equal(x, y) for x, y in zip(scene.points_of(i), (p, h, v), strict=True))
    with pytest.raises(InputError, match=f"the map holds no instance {b}"):
        scene.points_of(b)
    with pytest.raises(InputError, match="cannot be merged with itself"):
        scene.merge(a, a)
    fresh = add(scene, VIEW, seen(VIEW, block(VIEW, 20, 20, 40, 40), features=torch.eye(3)[:1]))
    assert fresh == [next_id]


def test_drop_keeps_the_points() -> None:
    scene = run(mapper_of(WALKED), WALKED[:4])
    gone, *left = scene.ids.tolist()
    points, kept = scene.points, {i: scene.points_of(i)[0] for i in left}
    scene.drop([gone])
    assert_sound(scene)
    assert scene.ids.tolist() == left
    assert torch.equal(scene.points, points)
    assert all(torch.equal(scene.points_of(i)[0], p) for i, p in kept.items())
    with pytest.raises(InputError, match=f"the map holds no instance {gone}"):
        scene.drop([gone])


def test_what_comes_and_goes_leaves_no_memory_behind() -> None:
    scene, segments = SceneMap(), seen(VIEW, block(VIEW, 20, 30, 40, 50))
    for i in range(100):
        assert add(scene, VIEW, segments) == [i + 1]
        scene.drop([i + 1])
    assert (len(scene), scene.next_id, scene._instances.rows) == (0, 101, 1)
    assert len(scene.sightings) == len(scene.name_votes) == 0


def test_set_points_replaces() -> None:
    scene = run(mapper_of(WALKED), WALKED[:4])
    thing, other = scene.ids.tolist()[:2]
    before = scene.points_of(other)
    chosen = torch.tensor([17, 3, 8])
    hits, views = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.int32)
    scene.set_points(thing, chosen, hits, views)
    assert [t.tolist() for t in scene.points_of(thing)] == [[3, 8, 17], [2, 3, 1], [5, 6, 4]]
    assert all(torch.equal(x, y) for x, y in zip(scene.points_of(other), before, strict=True))
    box = scene.pick("boxes", torch.tensor([thing]))[0]
    assert torch.equal(box, torch.cat((scene.points[chosen].amin(0), scene.points[chosen].amax(0))))
    none = torch.zeros(0, dtype=torch.int32)
    scene.set_points(thing, none.long(), none, none)
    assert_sound(scene)
    assert scene.sizes[0] == 0


def test_a_copy_lives_its_own_life() -> None:
    mapper = mapper_of(WALKED, Sloppy(WALKED), LOOKS)
    run(mapper, WALKED[:6])
    living, witness = mapper.scene, mapper.scene.copy()
    assert_same_map(living, witness)
    twin = living.copy()
    a, b, *_ = twin.ids.tolist()
    twin.merge(a, b)
    twin.name_votes.setdefault(a, {})["x"] = 9.0
    twin.drop(twin.ids.tolist()[1:])
    run(mapper_of(WALKED, Sloppy(WALKED), LOOKS, scene=twin), WALKED[6:])
    assert_same_map(living, witness)
    other_way = witness.copy()
    run(mapper, WALKED[6:])
    assert_same_map(witness, other_way)
    run(mapper_of(WALKED, Sloppy(WALKED), LOOKS, scene=witness), WALKED[6:])
    assert_same_map(mapper.scene, witness)


# ---- maps from maps --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walked_map() -> SceneMap:
    return run(mapper_of(WALKED, embed=LOOKS), WALKED)


def test_select_by_ids(walked_map: SceneMap) -> None:
    wanted = walked_map.ids.tolist()[1:3]
    part = select(walked_map, ids=wanted)
    assert_sound(part)
    assert part.ids.tolist() == wanted
    own = torch.unique(torch.cat([walked_map.points_of(i)[0] for i in wanted]))
    assert torch.equal(part.points, walked_map.points[own])
    assert torch.equal(part.colors, walked_map.colors[own])
    for i in wanted:
        assert torch.equal(part.points[part.points_of(i)[0]], walked_map.points[walked_map.points_of(i)[0]])
        assert torch.equal(part.points_of(i)[1], walked_map.points_of(i)[1])
    assert select(walked_map, ids=[]).point_count == 0
    with pytest.raises(InputError, match="the map holds no instance 99"):
        select(walked_map, ids=[99])


def test_select_by_box(walked_map: SceneMap) -> None:
    box = torch.tensor([-0.7, -0.3, 0.72, 0.0, 0.2, 1.2])
    part = select(walked_map, box=box)
    assert_sound(part)
    inside = ((walked_map.points >= box[:3]) & (walked_map.points <= box[3:])).all(1)
    assert torch.equal(part.points, walked_map.points[inside])
    assert 0 < len(part) < len(walked_map)
    assert bool((part.sizes > 0).all())


def test_select_by_frame(walked_map: SceneMap) -> None:
    keyframe = walked_map.keyframes[1]
    part = select(walked_map, frame=keyframe.frame_index)
    assert_sound(part)
    camera, depth = keyframe.camera, keyframe.depth.double()
    points = transform(invert(camera.T_world_cam), walked_map.points.to(torch.float64))
    expected = visible(points, camera.K, depth, walked_map.visible_m)[0]
    assert abs(part.point_count - int(expected.sum())) <= 3, "but for rounding"
    assert 0 < part.point_count < walked_map.point_count
    with pytest.raises(InputError, match="frame 77 is not a keyframe"):
        select(walked_map, frame=77)


def test_a_part_goes_on_growing(walked_map: SceneMap) -> None:
    part = select(walked_map, ids=walked_map.ids.tolist()[:2])
    run(mapper_of(WALKED, embed=LOOKS, scene=part), WALKED)
    assert_sound(part)
    assert len(part) == len(walked_map)
    assert part.ids.tolist()[:2] == walked_map.ids.tolist()[:2]
    assert int(part.ids[2]) >= walked_map.next_id


def test_union_of_a_map_with_itself_counts_points_once(walked_map: SceneMap) -> None:
    both, renamed = union(walked_map, walked_map)
    assert_sound(both)
    assert both.point_count <= walked_map.point_count * 1.001, "but for rounding on a border"
    assert len(both) == 2 * len(walked_map)
    assert both.frames == 2 * walked_map.frames
    assert sorted(renamed) == walked_map.ids.tolist()
    assert not set(renamed.values()) & set(walked_map.ids.tolist())
    assert both.next_id == max(renamed.values()) + 1
    for old, new in renamed.items():
        points, hits, _ = both.points_of(new)
        mine, my_hits, _ = walked_map.points_of(old)
        assert abs(len(points) - len(mine)) <= 0.001 * len(mine) + 1
        assert abs(int(hits.sum()) - int(my_hits.sum())) <= 0.002 * int(my_hits.sum()) + 1
    assert abs(int(both.seen.sum()) - 2 * int(walked_map.seen.sum())) <= 2
    assert len(both.keyframes) == 2 * len(walked_map.keyframes)


def test_union_of_two_parts_of_one_walk() -> None:
    one, two = two_maps()
    witness = one.copy(), two.copy()
    both, renamed = union(one, two)
    assert_sound(both)
    assert_same_map(one, witness[0])
    assert_same_map(two, witness[1])
    assert torch.equal(both.points_of(int(one.ids[0]))[0], one.points_of(int(one.ids[0]))[0])
    assert max(one.point_count, two.point_count) < both.point_count < one.point_count + two.point_count
    for old, new in renamed.items():
        mine, theirs = both.points[both.points_of(new)[0]], two.points[two.points_of(old)[0]]
        assert float(torch.cdist(theirs, mine).min(1).values.max()) < 2 * both.voxel_m
        assert torch.equal(both.pick("feature", torch.tensor([new])), two.pick("feature", torch.tensor([old])))
        assert both.sightings[new] == two.sightings[old]
    run(mapper_of(WALKED, embed=LOOKS, scene=both), WALKED[3:6])
    assert_sound(both)


def test_union_needs_maps_of_a_kind() -> None:
    with pytest.raises(InputError, match="cannot be united"):
        union(SceneMap(0.02), SceneMap(0.03))


# ---- memory follows space --------------------------------------------------------------------------------------------


def test_the_fifth_loop_adds_almost_nothing() -> None:
    """The hand shakes: no two loops see the very same rays."""
    rng, counts = np.random.default_rng(0), []
    loops = []
    for loop in range(5):
        shaken = []
        for frame, _ in walk(table_scene(), 8, (120, 160)):
            camera = frame.camera
            assert camera is not None
            T = camera.T_world_cam.clone()
            T[:3, 3] += torch.from_numpy(rng.normal(0, 0.004, 3))
            camera = dataclasses.replace(camera, T_world_cam=T)
            shaken.append(table_scene().frame(10 * loop + frame.index, camera))
        loops.append(shaken)
    mapper = mapper_of([f for part in loops for f in part], scene=SceneMap(0.05, 0.1))
    for part in loops:
        scene = run(mapper, part)
        counts.append((scene.point_count, len(scene), len(scene.keyframes), len(scene.owners)))
    first, last = counts[0], counts[-1]
    assert last[1] == first[1], "instances"
    assert last[2] <= first[2] + 1, "keyframes"
    assert last[0] <= 1.2 * first[0], "points: voxels of the far floor that single rays had missed"
    assert last[0] <= 1.02 * counts[-2][0], "and that ends"
    assert last[3] <= 1.15 * first[3], "edges"
