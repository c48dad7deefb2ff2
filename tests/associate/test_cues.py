"""Each cue by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.associate import cues
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.types import Masks, Matches, Segments
from tests.loops import segments_of
from tests.worlds import BoxWorld, table_scene, walk

VIEW = Sensor().view(walk(table_scene(), 1, (30, 40))[0][0])
BLOCKS = torch.zeros(3, 30, 40, dtype=torch.bool)
BLOCKS[0, 5:15, 5:15] = BLOCKS[1, 5:15, 25:35] = BLOCKS[2, 20:28, 10:30] = True


def seen(features: torch.Tensor | None = None, identity: torch.Tensor | None = None, m: int = 3) -> Segments:
    return segments_of(VIEW, Masks(BLOCKS[:m], torch.ones(m), features, identity))


def mapped(*steps: Segments) -> SceneMap:
    scene = SceneMap()
    for i, segments in enumerate(steps):
        ids = scene.ids[: len(segments)] if i else torch.full((len(segments),), -1)
        scene.add(VIEW, segments, Matches(ids, torch.ones(len(segments))))
    return scene


def test_look_takes_the_better_of_the_mean_and_the_gallery() -> None:
    axes = torch.eye(3)
    scene = mapped(seen(axes[[0, 1, 2]]), seen(axes[[1, 1, 2]]))
    cosine, reliable = cues.visual_similarity(seen(axes[[0, 1, 2]]), scene, scene.ids)
    assert torch.allclose(cosine, torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1]]), atol=1e-6)
    assert bool(reliable.all())
    both = torch.nn.functional.normalize(axes[:1] + axes[1:2], dim=1).expand(3, 3).contiguous()
    assert cues.visual_similarity(seen(both), scene, scene.ids)[0][0, 0] == pytest.approx(1.0), "the mean"


def test_a_look_at_some_pairs_is_a_look_at_all_for_those_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = mapped(seen(torch.randn(3, 3, generator=generator)))
    segments = seen(torch.randn(3, 3, generator=generator))
    wanted = torch.tensor([[True, False, True], [False, False, True], [True, True, False]])
    every, reliable = cues.visual_similarity(segments, scene, scene.ids)
    some, also = cues.visual_similarity(segments, scene, scene.ids, wanted)
    assert torch.equal(reliable, also)
    assert torch.allclose(some[wanted], every[wanted], atol=1e-7)
    assert (some[~wanted] == 0).all()


def test_unused_places_of_the_gallery_do_not_count() -> None:
    """A zero would beat every negative cosine."""
    scene = mapped(seen(torch.eye(3)))
    cosine, _ = cues.visual_similarity(seen(-torch.eye(3)), scene, scene.ids)
    assert torch.allclose(cosine.diagonal(), -torch.ones(3))


def test_no_descriptor_on_either_side_is_unreliable() -> None:
    some = torch.eye(3)
    some[1] = 0
    scene = mapped(seen(some))
    known = seen(torch.eye(3)[[0, 1, 0]] * torch.tensor([[1.0], [1], [0]]))
    _, reliable = cues.visual_similarity(known, scene, scene.ids)
    assert reliable.tolist() == [[True, False, True], [True, False, True], [False, False, False]]
    bare = mapped(seen())
    cosine, reliable = cues.visual_similarity(seen(), bare, bare.ids)
    assert not bool(reliable.any())
    assert cosine.shape == (3, 3)
    assert cues.visual_similarity(seen(torch.eye(3)), scene, torch.zeros(0, dtype=torch.int64))[0].shape == (3, 0)


def test_identity_is_a_cosine_whatever_the_lengths() -> None:
    tokens = torch.tensor([[2.0, 0], [0, 0.1], [0, 0]])
    scene = mapped(seen(identity=tokens))
    asked = seen(identity=torch.tensor([[5.0, 0], [1, 1], [0, 0]]))
    cosine, known = cues.identity(asked, scene, scene.ids, scene.last_frame)
    assert torch.allclose(cosine, torch.tensor([[1, 0, 0], [0.5**0.5, 0.5**0.5, 0], [0, 0, 0]]), atol=1e-6)
    assert known.tolist() == [[True, True, False]] * 2 + [[False] * 3]
    assert not cues.identity(asked, scene, scene.ids, scene.last_frame + 1)[1].any()
    nobody, known = cues.identity(seen(), scene, scene.ids, 0)
    assert nobody.tolist() == [[0.0] * 3] * 3 and not known.any()


def test_box_is_one_with_itself_and_zero_far_away() -> None:
    scene = mapped(seen())
    iou = cues.box_overlap(seen(), scene, scene.ids)
    assert torch.allclose(iou.diagonal(), torch.ones(3), atol=1e-5)
    assert bool((iou <= 1 + 1e-6).all())
    assert iou[0, 1] == 0


def counts(shared: int, a: int, b: int, least: int = 20) -> tuple[float, float]:
    s, m, c = (torch.tensor([n], dtype=torch.int32) for n in (shared, a, b))
    iou, contained = cues.overlap(s[None], m, c, least)
    return float(iou), float(contained)


def test_overlap() -> None:
    assert counts(50, 100, 200) == pytest.approx((50 / 250, 0.5))
    assert counts(0, 0, 0) == (0, 0)
    assert counts(200, 200, 200) == (1, 1)


def test_containment_needs_evidence() -> None:
    """A strip of nineteen points wholly inside proves nothing."""
    assert counts(20, 20, 500)[1] == 1
    assert counts(19, 19, 500) == pytest.approx((19 / 500, 19 / 500))
    assert counts(19, 19, 500, least=5)[1] == 1


def test_a_trimmed_box_forgets_what_strayed() -> None:
    draw = torch.Generator().manual_seed(0)
    points = torch.rand((200, 3), generator=draw)
    owner = torch.arange(200) % 2
    boxes = cues.trimmed_boxes(points, owner, 3, 0.02)
    for k in range(2):
        own = points[owner == k]
        assert torch.equal(boxes[k, :3], own.sort(0).values[2]), "two of a hundred are left out"
        assert torch.equal(boxes[k, 3:], own.sort(0).values[97])
    assert bool((boxes[2, :3] > boxes[2, 3:]).all()), "nobody's box is empty"
    assert torch.equal(cues.trimmed_boxes(points, owner, 2, 0.0)[0, :3], points[::2].amin(0))
    stray = points.clone()
    stray[0] = 50.0
    assert torch.allclose(cues.trimmed_boxes(stray, owner, 2, 0.02), boxes[:2], atol=0.05)
    order = torch.randperm(200, generator=draw)
    assert torch.equal(cues.trimmed_boxes(points[order], owner[order], 3, 0.02), boxes)


def test_trimmed_boxes_meet_like_whole_ones() -> None:
    scene = mapped(seen())
    iou = cues.box_overlap(seen(), scene, scene.ids, 0.02)
    assert bool((iou.diagonal() > 0.95).all())  # the map's points lie on voxels
    assert iou[0, 1] == 0


def test_a_flat_thing_has_a_box() -> None:
    """A wall along an axis has no volume of its own."""
    world = BoxWorld(np.array([[-3.0, 1, -3]]), np.array([[3.0, 1.2, 3]]), background=())
    view = Sensor().view(world.frame(0, world.camera((0, -1, 0), (0, 1, 0), (30, 40)))[0])
    segments = segments_of(view, Masks(BLOCKS, torch.ones(3)))
    scene = SceneMap()
    scene.add(view, segments, Matches(torch.full((3,), -1), torch.ones(3)))
    for trim in (0.0, 0.02):
        iou = cues.box_overlap(segments, scene, scene.ids, trim)
        assert bool((iou.diagonal() > 0.8).all())
        assert iou[0, 1] == 0
