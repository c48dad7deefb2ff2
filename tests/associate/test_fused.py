"""Which segment continues which instance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seg3r.associate import cues
from seg3r.associate.fused import Fused
from seg3r.embed.oracle import TruthIdentity
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.types import Masks, Matches, Segments
from tests.loops import Looks, Walked, mapper_of, masks_of, run, segments_of
from tests.worlds import BoxWorld, table_scene, walk

SIZE = (60, 80)
UNGATED = {"least_visual": None, "least_contained": None, "fragment": None}
SPACE = Fused(visual=0.0, overlap=1.0, least_visual=None)
ORACLE = Fused(visual=0.0, overlap=0.0, identity=1.0, threshold=0.5, **UNGATED)
WALL = BoxWorld(np.array([[-3.0, 1, -3]]), np.array([[3.0, 1.2, 3]]), background=())
VIEW = Sensor().view(WALL.frame(0, WALL.camera((0, -1, 0), (0, 1, 0), SIZE))[0])


def columns(*spans: tuple[int, int], features: torch.Tensor | None = None) -> Segments:
    """Masks of rows 10..50 and these columns, on a wall two metres away."""
    masks = torch.zeros(len(spans), *SIZE, dtype=torch.bool)
    for mask, (c0, c1) in zip(masks, spans, strict=True):
        mask[10:50, c0:c1] = True
    return segments_of(VIEW, Masks(masks, torch.ones(len(spans)), features))


def mapped(segments: Segments) -> SceneMap:
    scene = SceneMap()
    scene.add(VIEW, segments, Matches(torch.full((len(segments),), -1), torch.ones(len(segments))))
    return scene


def matched(associate: Fused, before: Segments, now: Segments) -> list[int]:
    """Position among the instances of `before` that each segment of `now` is matched to; -1: a new one."""
    scene = mapped(before)
    position = {instance_id: k for k, instance_id in enumerate(scene.ids.tolist())} | {-1: -1}
    return [position[i] for i in associate(VIEW, now, scene).instance_ids.tolist()]


def ids_of_things(walked: Walked, scene: SceneMap) -> dict[int, set[int]]:
    """Per truth id: the instances most of whose claims in the keyframes fall on it."""
    truth, claims = {frame.index: ids for frame, ids in walked}, {}
    for keyframe in scene.keyframes:
        h, w = keyframe.camera.size
        masks = np.unpackbits(keyframe.packed_masks.numpy(), axis=1, count=h * w).reshape(-1, h, w).astype(bool)
        for mask, i in zip(masks, keyframe.instance_ids.tolist(), strict=True):
            claims.setdefault(int(truth[keyframe.frame_index].numpy()[mask][0]), set()).add(i)
    return claims


# ---- one frame -------------------------------------------------------------------------------------------------------


def test_an_empty_side_gives_new_instances() -> None:
    now = columns((10, 30), (40, 60))
    nothing = Fused()(VIEW, now, SceneMap())
    assert nothing.instance_ids.tolist() == [-1, -1]
    none = columns()
    assert len(Fused()(VIEW, none, mapped(now))) == 0
    dropped = mapped(now)
    dropped.drop(dropped.ids.tolist())
    assert Fused()(VIEW, now, dropped).instance_ids.tolist() == [-1, -1]


def test_each_finds_its_own() -> None:
    spans = [(5, 20), (22, 40), (42, 60), (62, 78)]
    for seed in range(4):
        order, scene = np.random.default_rng(seed).permutation(4), SceneMap()
        for i in order:
            scene.add(VIEW, columns(spans[i]), Matches(torch.tensor([-1]), torch.ones(1)))
        matches = SPACE(VIEW, columns(*spans), scene)
        assert matches.instance_ids.tolist() == scene.ids[np.argsort(order)].tolist()
        assert bool((matches.scores > 0.9).all())


def test_overlap_below_the_gate_or_the_threshold_is_no_match() -> None:
    before = columns((0, 40))
    assert matched(SPACE, before, columns((0, 30))) == [0]
    assert matched(SPACE, before, columns((34, 74))) == [-1], "IoU 0.08, half of C 0.07"
    half = columns((20, 60))  # IoU 1/3, C 1/2
    assert matched(dataclasses.replace(SPACE, threshold=0.3), before, half) == [0]
    assert matched(dataclasses.replace(SPACE, threshold=0.4), before, half) == [-1]
    assert matched(dataclasses.replace(SPACE, threshold=0.3, least_contained=0.6), before, half) == [-1]


def test_half_of_containment_counts_where_iou_is_small() -> None:
    """A quarter of the instance, wholly inside it: IoU 1/4, C 1, so 1/2."""
    score = dataclasses.replace(SPACE, fragment=None)(VIEW, columns((10, 20)), mapped(columns((0, 40)))).scores
    assert float(score) == pytest.approx(0.5, abs=0.05)


def test_what_is_not_alike_is_no_match() -> None:
    before, fused = columns((0, 40), features=torch.eye(2)[:1]), Fused()
    assert matched(fused, before, columns((0, 40), features=torch.eye(2)[:1])) == [0]
    assert matched(fused, before, columns((0, 40), features=torch.eye(2)[1:])) == [-1]
    alike = torch.tensor([[0.5, 0.75**0.5]])
    assert matched(fused, before, columns((0, 40), features=alike)) == [0]
    assert matched(dataclasses.replace(fused, least_visual=0.55), before, columns((0, 40), features=alike)) == [-1]


def test_the_score_is_the_weighted_sum() -> None:
    alike = torch.tensor([[0.65, (1 - 0.65**2) ** 0.5]])
    before = columns((0, 40), features=torch.eye(2)[:1])
    score = float(Fused()(VIEW, columns((0, 40), features=alike), mapped(before)).scores)
    assert score == pytest.approx(0.6 * 1 + 0.4 * (0.65 - 0.3) / 0.7, abs=0.03)


def test_without_a_descriptor_space_decides_at_full_weight() -> None:
    """Where either side has no descriptor a pair is judged as if there were none at all."""
    for before, now in [
        (torch.eye(2)[:1], torch.zeros(1, 2)), (torch.zeros(1, 2), torch.eye(2)[:1]), (None, None),
    ]:
        score = Fused()(VIEW, columns((20, 60), features=now), mapped(columns((0, 40), features=before))).scores
        alone = dataclasses.replace(SPACE)(VIEW, columns((20, 60)), mapped(columns((0, 40)))).scores
        assert float(score) == pytest.approx(float(alone), abs=1e-6)


def test_fragments_join_a_matched_instance() -> None:
    before = columns((0, 60))
    both = columns((0, 40), (42, 60))
    assert matched(SPACE, before, both) == [0, 0]
    assert matched(dataclasses.replace(SPACE, fragment=None), before, both) == [0, -1]
    beyond = columns((0, 50), (50, 78))
    assert matched(SPACE, before, beyond) == [0, -1], "a third of it inside is no fragment"


def test_a_whole_is_no_fragment_of_its_part() -> None:
    """The instance lies inside the segment, not the other way round: containment alone would join them."""
    before = columns((0, 78), (30, 40), features=torch.eye(2))
    now = columns((0, 78), (20, 50), features=torch.eye(2)[[0, 1]])
    strict = dataclasses.replace(Fused(), threshold=0.9)
    assert matched(strict, before, now)[1] == -1


def test_a_strip_of_few_points_is_no_evidence() -> None:
    """Nineteen points of the instance in view, all covered: containment is not believed."""
    before, now = columns((38, 40)), columns((39, 78))
    few = SPACE(VIEW, now, mapped(before))
    assert few.instance_ids.tolist() == [-1]


# ---- scenes a tracker must tell apart --------------------------------------------------------------------------------


def test_two_boxes_alike_are_kept_apart_by_space_alone() -> None:
    """Acceptance test 2: 0.6 m from centre to centre, the same descriptor."""
    walked = walk(table_scene(), 12, (120, 160))
    looks = Looks(walked, {2: (1, 0), 3: (0, 1), 4: (0, 1), 5: (1, 1)})
    scene = run(mapper_of(walked, embed=looks), walked)
    claims = ids_of_things(walked, scene)
    assert len(scene) == 4
    assert all(len(ids) == 1 for ids in claims.values())
    assert claims[3] != claims[4]
    assert len(set().union(*claims.values())) == 4


@pytest.mark.parametrize("alike", [True, False])
def test_two_sides_with_little_in_common_are_joined_by_their_descriptors(alike: bool) -> None:
    """Acceptance test 2, second half: a tenth of all that was seen was seen from both sides."""
    feature = torch.eye(3)[:1] if alike else torch.zeros(1, 3)
    left, right = columns((0, 44), features=feature), columns((36, 78), features=feature)
    assert matched(Fused(), left, right) == ([0] if alike else [-1])


def test_a_box_from_all_sides_is_one() -> None:
    """Frame to frame its sides overlap by the top alone at times; nothing is said of how it looks."""
    world = BoxWorld(np.array([[-3, -3, -0.1], [-0.3, -0.2, 0.0]]), np.array([[3, 3, 0.0], [0.3, 0.2, 0.5]]))
    walked = []
    for i, angle in enumerate(np.linspace(0, 2 * np.pi, 9)):
        eye = (2 * np.cos(angle), 2 * np.sin(angle), 1.3)
        walked.append(world.frame(i, world.camera(eye, (0, 0, 0.2), (90, 120))))
    scene = run(mapper_of(walked), walked)
    assert len(scene) == 1
    assert torch.allclose(scene.boxes[0], torch.tensor([-0.3, -0.2, 0.0, 0.3, 0.2, 0.5]), atol=0.06)


# ---- identity --------------------------------------------------------------------------------------------------------


def jumping() -> Walked:
    """Three views that share nothing, then the first again, from elsewhere: what left the view comes back."""
    world = table_scene()
    places = [((-0.45, -1.2, 1.2), (-0.45, 0, 0.9)), ((0.6, -1.0, 1.2), (0.6, 0.2, 0.8)),
              ((0.15, 1.4, 1.3), (0.15, 0, 0.9)), ((-1.6, -0.6, 1.5), (-0.4, 0, 0.9)), ((0.9, -1.6, 1.6), (0, 0, 0.8))]
    return [world.frame(i, world.camera(eye, target, (90, 120))) for i, (eye, target) in enumerate(places)]


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_oracle_associates_perfectly_even_where_nothing_overlaps(shift: float) -> None:
    """`shift`: each frame's pose is off by metres more than the last, so that no instance is ever seen again."""
    walked = []
    for frame, ids in jumping():
        assert frame.camera is not None
        T = frame.camera.T_world_cam.clone()
        T[0, 3] += shift * frame.index
        walked.append((dataclasses.replace(frame, camera=dataclasses.replace(frame.camera, T_world_cam=T)), ids))
    truth = {frame.index: ids for frame, ids in walked}
    mapper = mapper_of(walked, embed=TruthIdentity(truth.get, 9), associate=ORACLE)
    for frame, ids in walked:
        mapper.step(frame)
        small = [i for i in masks_of(ids).masks.flatten(1).sum(1).tolist() if i < 200]
        assert len(mapper.scene) + len(small) >= len(ids.unique()) - 1
    things = mapper.scene.identity.argmax(1).tolist()
    assert sorted(things) == [1, 2, 3, 4], "one instance for each of the table and its three boxes"
    assert torch.allclose(mapper.scene.identity.max(1).values, torch.ones(4)), "and none mixed"
    assert all(len(ids) == 1 for ids in ids_of_things(walked, mapper.scene).values())


def test_a_box_cue_needs_no_visible_point() -> None:
    """MoonSeg3R's fusion has no gate on overlap. The view is of a place a metre off: nothing of the map is visible."""
    world = table_scene()
    frame, ids = world.frame(0, world.camera((0, -1.7, 1.5), (0, 0, 0.8), (90, 120)))
    view = Sensor().view(frame)
    segments, scene = segments_of(view, masks_of(ids)), SceneMap()
    scene.add(view, segments, Matches(torch.full((len(segments),), -1), torch.ones(len(segments))))
    off = Sensor().view(dataclasses.replace(frame, depth=(view.depth - 1).clamp_min(0.2)))
    boxes = Fused(visual=0.0, overlap=0.0, box=1.0, threshold=0.5, **UNGATED)
    assert len(scene.overlap(off, segments).ids) == 0
    assert boxes(off, segments, scene).instance_ids.tolist() == scene.ids.tolist()
    assert set(SPACE(off, segments, scene).instance_ids.tolist()) == {-1}


@pytest.mark.parametrize(("later", "fresh"), [(1, True), (5, True), (6, False)])
@pytest.mark.parametrize("every", [1, 10])
def test_an_old_token_is_not_asked(later: int, fresh: bool, every: int) -> None:
    """E = visual + token + box; of what was last seen six views ago 3/2 (visual + box), whatever the stride."""
    def at(view: int, segments: Segments, token: tuple[float, float]) -> Segments:
        return dataclasses.replace(segments, frame_index=view * every, identity=torch.tensor([token]))

    feature = torch.tensor([[0.8, 0.6]])
    scene = mapped(at(0, columns((10, 30), features=torch.tensor([[1.0, 0.0]])), (1.0, 0.0)))
    nobody = Matches(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    nothing = dataclasses.replace(columns(), features=torch.zeros(0, 2), identity=torch.zeros(0, 2))
    for view in range(1, later):
        scene.add(dataclasses.replace(VIEW, frame=dataclasses.replace(VIEW.frame, index=view * every)),
                  dataclasses.replace(nothing, frame_index=view * every), nobody)
    now = at(later, columns((15, 35), features=feature), (0.6, 0.8))
    fused = Fused(visual=1.0, overlap=0.0, identity=1.0, box=1.0, threshold=0.0, visual_floor=0.0, **UNGATED)
    box = float(cues.box_overlap(now, scene, scene.ids))
    expected = 0.8 + 0.6 + box if fresh else 1.5 * (0.8 + box)
    assert 0.3 < box < 0.8
    assert float(fused(VIEW, now, scene).scores[0]) == pytest.approx(expected, abs=1e-4)
