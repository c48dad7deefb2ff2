"""The loop: what it promises whatever sits in its sockets."""

from __future__ import annotations

import dataclasses
import itertools
import time
import warnings

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from seg3r.errors import InputError
from seg3r.geometry import invert, rigid, rounded_pose, transform
from seg3r.lift import Lift
from seg3r.mapper import Mapper
from seg3r.protocols import Observer
from seg3r.reconstruct.sensor import Sensor
from seg3r.refine.chain import Chain
from seg3r.scene import SceneMap
from seg3r.types import Answer, Frame, Segments, View
from tests.loops import (
    Looks,
    Sloppy,
    Truth,
    Walked,
    assert_same_map,
    assert_sound,
    mapper_of,
    masks_of,
    moved,
    run,
    segments_of,
)
from tests.reconstruct.remembering import Late
from tests.worlds import table_scene, walk

WALKED = walk(table_scene(), 10, (60, 80))
CLEAR = walk(table_scene(), 8, (120, 160))
LOOKS = {2: (1, 0, 0), 3: (0, 1, 0), 4: (0, 1, 0.2), 5: (0, 0.3, 1)}


def sloppy(walked: Walked = WALKED) -> Mapper:
    return mapper_of(walked, Sloppy(walked), Looks(walked, LOOKS))


def test_stream_is_batch() -> None:
    frames = [frame for frame, _ in WALKED]
    one, two = sloppy(), sloppy()
    for frame in frames:
        assert one.step(frame) is one.scene
    sizes = [len(scene) for scene in two.run(iter(frames))]
    assert len(sizes) == len(frames)
    assert_same_map(one.scene, two.scene)
    assert_same_map(one.refined(), two.refined())


def test_run_is_lazy() -> None:
    def frames() -> object:
        yield WALKED[0][0]
        raise AssertionError("asked for a frame too early")

    stream = sloppy().run(frames())  # type: ignore[arg-type]
    assert next(stream).frames == 1


@pytest.mark.parametrize("t", [1, 4, 7])
def test_the_map_after_a_frame_knows_nothing_of_later_ones(t: int) -> None:
    other_future = [*WALKED[:t], *reversed(WALKED[t:])]
    one, two = sloppy(), sloppy(other_future)
    run(one, WALKED[:t])
    maps = [scene.copy() for scene in two.run(frame for frame, _ in other_future)]
    assert_same_map(one.scene, maps[t - 1])
    assert_same_map(one.refined(), mapper_of(WALKED, scene=maps[t - 1]).refined())


def test_a_result_does_not_touch_the_living_map() -> None:
    asked, quiet = sloppy(), sloppy()
    for frame, _ in WALKED:
        asked.step(frame)
        before = asked.scene.copy()
        refined = asked.refined()
        assert refined is not asked.scene
        assert_same_map(asked.scene, before)
        assert_same_map(asked.refined(), refined)
    assert_same_map(asked.scene, run(quiet, WALKED))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_masks_within_a_frame_changes_nothing(seed: int) -> None:
    embed = Looks(CLEAR, LOOKS)
    told = run(mapper_of(CLEAR, embed=embed), CLEAR)
    assert_same_map(told, run(mapper_of(CLEAR, Truth(CLEAR, seed), embed), CLEAR))


def motion(seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    R = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=rng))[0]
    return rigid(R * torch.linalg.det(R).sign(), 10 * torch.rand(3, dtype=torch.float64, generator=rng) - 5)


@pytest.mark.parametrize(("seed", "visible_m", "changed"), [(0, 0.049, 0.003), (1, 0.049, 0.003), (2, 0.1, 0.03)])
def test_a_rigid_motion_of_the_world_moves_the_map_and_no_more(seed: int, visible_m: float, changed: float) -> None:
    """Coordinates are float32 on the way into the map, so that a few points in a thousand change voxels; with a voxel
    or two of tolerance along the ray (the third case) each of these takes others with it."""
    walked, T = CLEAR[1:], motion(seed)  # the first camera looks along an axis: faces would lie on voxel borders
    here, there = (mapper_of(w, scene=SceneMap(0.05, visible_m)) for w in (walked, moved(walked, T)))
    run(here, walked)
    run(there, moved(walked, T))
    for one, other in ((here.scene, there.scene), (here.refined(), there.refined())):
        assert one.ids.tolist() == other.ids.tolist()
        assert one.observations.tolist() == other.observations.tolist()
        assert one.missed.tolist() == other.missed.tolist()
        assert one.next_id == other.next_id
        assert abs(one.point_count - other.point_count) <= changed * one.point_count
        assert bool(((one.sizes - other.sizes).abs() <= 2 + changed * one.sizes).all())
        assert [k.frame_index for k in one.keyframes] == [k.frame_index for k in other.keyframes]
        assert np.allclose(T.numpy() @ one.T_world_map, other.T_world_map)
        back = transform(invert(T), other.points.to(torch.float64))
        off = torch.cdist(back, one.points.to(torch.float64)).min(1).values
        assert float(off.quantile(1 - 2 * changed)) < 2e-5
        assert float(off.max()) < 2 * one.voxel_m


def in_micrometres(walked: Walked) -> Walked:
    """As a recording from files has its poses."""
    out = []
    for frame, ids in walked:
        assert frame.camera is not None
        camera = dataclasses.replace(frame.camera, T_world_cam=rounded_pose(frame.camera.T_world_cam))
        out.append((dataclasses.replace(frame, camera=camera), ids))
    return out


@pytest.mark.parametrize("shift", [(5e5, 5.4e6, 100), (0, 0, 1100), (-2e7, 3e4, -500)])
def test_a_far_world_gives_the_same_map_to_the_bit(shift: tuple[float, float, float]) -> None:
    walked, T = in_micrometres(CLEAR), torch.eye(4, dtype=torch.float64)
    T[:3, 3] = torch.tensor(shift)
    here, there = (mapper_of(w, embed=Looks(CLEAR, LOOKS)) for w in (walked, moved(walked, T)))
    run(here, walked)
    run(there, moved(walked, T))
    for near, far in ((here.scene, there.scene), (here.refined(), there.refined())):
        assert near.origin.tolist() == [0, 0, 0] and far.origin.tolist() == list(shift)
        assert_same_map(near, far)
        assert (far.world_points - T[:3, 3] - near.world_points).abs().max() < 1e-6


def test_a_far_world_that_starts_anywhere_stays_exact() -> None:
    """By the map alone nobody could tell where the recording was before: coordinates are near zero, that is all."""
    T = torch.eye(4, dtype=torch.float64)
    T[:3, 3] = torch.tensor([512_345.678, 5_412_349.876, 143.21])
    walked = CLEAR[1:]  # the first camera looks along an axis: faces would lie on voxel borders
    near = run(mapper_of(walked), walked)
    far = run(mapper_of(moved(walked, T)), moved(walked, T))
    assert far.points.abs().max() < 60 and near.ids.tolist() == far.ids.tolist()
    assert abs(near.point_count - far.point_count) <= 0.003 * near.point_count
    off, _ = cKDTree(near.world_points.numpy()).query((far.world_points - T[:3, 3]).numpy())
    assert np.quantile(off, 0.99) < 1e-4


def test_a_near_world_is_taken_as_it_is() -> None:
    mapper = mapper_of(CLEAR)
    frame = CLEAR[0][0]
    assert mapper.local(frame) is frame
    assert mapper.local(dataclasses.replace(frame, camera=None)).camera is None
    assert mapper.scene.has_origin and not mapper.scene.origin.any()


class OwnWorld:
    """A reconstructor that finds its own way: its first camera is where its world begins."""

    def __init__(self, origin: torch.Tensor | None = None) -> None:
        self.first: torch.Tensor | None = None
        if origin is not None:
            self.origin = origin

    def __call__(self, frame: Frame) -> tuple[View, ...]:
        assert frame.camera is not None
        pose = frame.camera.T_world_cam
        self.first = pose if self.first is None else self.first
        camera = dataclasses.replace(frame.camera, T_world_cam=torch.linalg.inv(self.first) @ pose)
        return (dataclasses.replace(Sensor().view(dataclasses.replace(frame, camera=camera)), frame=frame),)

    def finish(self) -> tuple[()]:
        return ()

    def reset(self) -> None:
        self.first = None


def test_where_the_recording_lies_says_nothing_of_a_world_of_the_reconstructors_own() -> None:
    T = torch.eye(4, dtype=torch.float64)
    T[:3, 3] = torch.tensor([5e5, 5.4e6, 100.0])
    for origin in (None, torch.tensor([7e4, 0.0, 0.0], dtype=torch.float64)):
        mapper = mapper_of(CLEAR)
        mapper.reconstruct = OwnWorld(origin)
        run(mapper, moved(CLEAR, T))
        assert mapper.scene.origin.tolist() == ([0, 0, 0] if origin is None else origin.tolist())
        assert len(mapper.refined()) == 4


def true_voxels(walked: Walked, scene: SceneMap) -> dict[int, set[int]]:
    """Per truth id: the points of the map whose voxel any of its pixels fell into."""
    found: dict[int, set[int]] = {}
    for frame, ids in walked:
        view = Sensor().view(frame)
        for i in ids.unique().tolist():
            own = view.points[(ids == i) & (view.confidence > 0)]
            found.setdefault(i, set()).update(scene._grid.locate(own.numpy()).tolist())
    found.pop(0)
    return found


def test_perfect_masks_give_a_perfect_map() -> None:
    """Acceptance test 1: purity and completeness are 1, point for point."""
    mapper = mapper_of(CLEAR, lift=segments_of, scene=SceneMap(0.03, 0.029))
    scene = run(mapper, CLEAR)
    truth = true_voxels(CLEAR, scene)
    assert len(scene) == len(truth) == 4
    mapped = [set(scene.points_of(i)[0].tolist()) for i in scene.ids.tolist()]
    for own in truth.values():
        best = max(mapped, key=lambda points: len(points & own))
        assert best == own


def test_perfect_masks_through_every_stage_give_the_boxes() -> None:
    """With erosion, gates, consistency and merging, at the voxels of the default: nothing beyond the boxes."""
    mapper = mapper_of(CLEAR)
    run(mapper, CLEAR)
    result, world = mapper.refined(), table_scene()
    assert_sound(result)
    assert len(result) == 4
    found = set()
    for i, box in zip(result.ids.tolist(), result.boxes.numpy(), strict=True):
        middle = (box[:3] + box[3:]) / 2
        thing = 1 + int(np.abs((world.low + world.high)[1:] / 2 - middle).sum(1).argmin())
        low, high = world.low[thing], world.high[thing]
        points = result.points[result.points_of(i)[0]].numpy()
        assert ((points >= low - 0.02) & (points <= high + 0.02)).all(1).mean() > 0.99
        assert (box[:3] >= low - 0.04).all()
        assert (box[3:] <= high + 0.04).all()
        assert np.abs(box[3:5] - high[:2]).max() < 0.05, "and reaches to its borders"
        found.add(thing)
    assert found == {1, 2, 3, 4}


def test_a_frame_without_masks() -> None:
    blank = [(frame, torch.zeros_like(ids) if i in (0, 3) else ids) for i, (frame, ids) in enumerate(CLEAR)]
    mapper = mapper_of(blank, embed=Looks(blank, LOOKS))
    counts = [len(mapper.step(frame)) for frame, _ in blank]
    assert counts[0] == 0
    assert mapper.scene.point_count > 0
    assert_sound(mapper.scene)
    assert len(mapper.refined()) == 4
    nothing = mapper_of([(f, torch.zeros_like(i)) for f, i in CLEAR])
    run(nothing, CLEAR)
    assert len(nothing.refined()) == 0


def test_one_frame() -> None:
    mapper = mapper_of(CLEAR, refine=Chain(()))
    mapper.step(CLEAR[0][0])
    result = mapper.refined()
    assert_sound(result)
    assert len(result) == len(masks_of(CLEAR[0][1]))
    assert set(result.hits.tolist()) == {1}
    assert len(mapper_of(CLEAR).refined()) == 0, "no frame at all"


def test_a_map_can_be_continued_by_another_mapper() -> None:
    through = run(sloppy(), WALKED)
    first = sloppy()
    run(first, WALKED[:5])
    second = mapper_of(WALKED, Sloppy(WALKED), Looks(WALKED, LOOKS), scene=first.scene)
    assert_same_map(through, run(second, WALKED[5:]))


def test_every_stage_is_timed_and_none_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that ticks whenever somebody looks at it: a stage that was timed within another took longer."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    mapper = mapper_of(WALKED)
    run(mapper, WALKED[:3])
    mapper.refined()
    assert mapper.seconds.pop("refine") == [1.0]
    assert mapper.seconds == {
        stage: [1.0] * 3 for stage in ("reconstruct", "segment", "embed", "lift", "associate", "add", "maintain")}


# ---- a reconstructor that waits --------------------------------------------------------------------------------------


def late(lag: int = 3) -> Mapper:
    mapper = sloppy()
    mapper.reconstruct = Late(Sensor(), lag)
    return mapper


def test_a_with_block_takes_what_a_reconstructor_still_owes() -> None:
    with late() as mapper:
        run(mapper, WALKED)
        assert mapper.scene.frames == len(WALKED) - 3
    assert mapper.scene.frames == len(WALKED)
    assert_same_map(mapper.scene, run(sloppy(), WALKED))


def test_run_takes_it_too_and_tells_of_it() -> None:
    mapper = late()
    frames = [scene.frames for scene in mapper.run(frame for frame, _ in WALKED)]
    assert frames == [*[0] * 3, *range(1, len(WALKED) - 2), len(WALKED)]


def test_an_error_in_a_with_block_ends_it_as_it_is() -> None:
    """Half of a recording is no recording: nothing more is taken, and the error comes out."""
    mapper = late()
    with pytest.raises(ZeroDivisionError), mapper:
        run(mapper, WALKED[:5])
        raise ZeroDivisionError
    assert mapper.scene.frames == 2
    with pytest.warns(UserWarning, match="3 frames wait"):
        mapper.refined()


def test_a_run_that_is_left_takes_nothing_more() -> None:
    mapper = late()
    stream = mapper.run(frame for frame, _ in WALKED)
    for _ in range(5):
        next(stream)
    stream.close()
    assert mapper.scene.frames == 2


def test_a_result_without_the_frames_that_wait_is_warned_of() -> None:
    """The last frames of one camera would be lost, silently."""
    mapper = late()
    run(mapper, WALKED)
    with pytest.warns(UserWarning, match=r"3 frames wait for later ones .* call finish\(\) after the last"):
        mapper.refined()
    mapper.finish()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mapper.refined()
        sloppy_one = sloppy()
        run(sloppy_one, WALKED)
        sloppy_one.refined()  # nobody waits there
        with late() as other:
            run(other, WALKED)
            other.refined()  # on the way: somebody will call finish


# ---- results and observers -------------------------------------------------------------------------------------------


def test_a_result_is_made_once_for_each_map() -> None:
    mapper = sloppy()
    run(mapper, WALKED[:4])
    first = mapper.refined()
    assert mapper.refined() is first and len(mapper.seconds["refine"]) == 1
    mapper.step(WALKED[4][0])
    second = mapper.refined()
    assert second is not first and second.frames == 5
    assert len(mapper.seconds["refine"]) == 2
    mapper.scene = first.copy()
    assert mapper.refined() is not second, "another map was put in its place"


def test_a_question_does_not_refine_again() -> None:
    """What an answerer knows of a map counts for the next question."""
    asked: list[SceneMap] = []

    def answer(scene: SceneMap, question: str) -> Answer:
        asked.append(scene)
        return Answer(question, (), ())

    mapper = sloppy()
    mapper.answer = answer
    run(mapper, WALKED[:4])
    assert mapper.ask("the chair").question == "the chair"
    mapper.ask("the table")
    assert asked[0] is asked[1] is mapper.refined()
    assert len(mapper.seconds["refine"]) == 1
    mapper.answer = None
    with pytest.raises(InputError, match="nobody who answers"):
        mapper.ask("the chair")


def test_observers_see_every_view_with_its_segments_and_their_instances() -> None:
    seen: list[tuple[int, torch.Tensor]] = []
    order: list[str] = []

    class First:
        def __call__(self, view: View, segments: Segments, ids: torch.Tensor) -> None:
            assert len(segments) == len(ids) and view.frame.index == len(seen)
            assert mapper.scene.frames == len(seen) + 1, "the view is in the map"
            seen.append((view.frame.index, ids.clone()))
            order.append("first")

    def second(view: View, segments: Segments, ids: torch.Tensor) -> None:
        order.append("second")

    mapper, alone = sloppy(), sloppy()
    mapper.observers += [First(), second]
    assert all(isinstance(each, Observer) for each in mapper.observers)
    run(mapper, WALKED)
    assert [index for index, _ in seen] == list(range(len(WALKED)))
    assert order == ["first", "second"] * len(WALKED)
    assert {int(i) for _, ids in seen for i in ids} == set(range(1, mapper.scene.next_id)), "every id was once given"
    assert_same_map(mapper.scene, run(alone, WALKED))


def test_observers_see_what_comes_at_the_end() -> None:
    indices: list[int] = []
    with late() as mapper:
        mapper.observers.append(lambda view, segments, ids: indices.append(view.frame.index))
        run(mapper, WALKED)
        assert indices == list(range(len(WALKED) - 3))
    assert indices == list(range(len(WALKED)))


def test_noisy_depth_still_gives_four_things() -> None:
    """sigma = 1 % of z^2, and a fifth of the masks lost."""
    rng = np.random.default_rng(0)
    noisy: list[tuple[Frame, torch.Tensor]] = []
    for frame, ids in CLEAR:
        assert frame.depth is not None
        z = frame.depth.numpy()
        depth = torch.from_numpy(np.where(z > 0, z + rng.normal(0, 0.01, z.shape) * z**2 / 2, 0).astype(np.float32))
        lost = ids.clone()
        if rng.random() < 0.6:
            lost[lost == rng.integers(2, 6)] = 0
        noisy.append((dataclasses.replace(frame, depth=depth), lost))
    mapper = mapper_of(noisy, lift=Lift(edge_jump=0.2))
    run(mapper, noisy)
    assert_sound(mapper.scene)
    result = mapper.refined()
    assert len(result) == 4
    middles = (result.boxes[:, :3] + result.boxes[:, 3:]) / 2
    world = table_scene()
    things = torch.from_numpy((world.low + world.high)[1:] / 2).to(torch.float32)
    assert sorted(torch.cdist(middles, things).argmin(1).tolist()) == [0, 1, 2, 3]
