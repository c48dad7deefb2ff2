"""Two instances that are one thing."""

from __future__ import annotations

import pytest
import torch

from seg3r.associate.fused import Fused
from seg3r.refine.merge import Merge
from seg3r.scene import SceneMap
from tests.loops import Sloppy, assert_same_map, assert_sound, mapper_of, run
from tests.refine.maps import mapped, remaining
from tests.worlds import table_scene, walk

WALKED = walk(table_scene(), 8, (60, 80))

def test_by_iou() -> None:
    """Two thirds of each shared: IoU one half."""
    scene = mapped((20, 50), (30, 60))
    older, younger = scene.ids.tolist()
    union = torch.unique(torch.cat([scene.points_of(i)[0] for i in (older, younger)]))
    merged = Merge(iou=0.4, contained=None)(scene)
    assert merged.ids.tolist() == [older], "the older id survives"
    assert torch.equal(merged.points_of(older)[0], union)
    assert_sound(merged)
    assert remaining(Merge(iou=0.6, contained=None), mapped((20, 50), (30, 60))) == [0, 1]


def test_different_descriptors_stay_apart() -> None:
    spans = ((20, 50), (25, 55))
    assert len(Merge()(mapped(*spans, features=torch.eye(2)))) == 2
    assert len(Merge()(mapped(*spans, features=torch.eye(2)[[0, 0]]))) == 1
    assert len(Merge(least_visual=None)(mapped(*spans, features=torch.eye(2)))) == 1
    none = torch.eye(2)
    none[1] = 0
    assert len(Merge()(mapped(*spans, features=none))) == 1, "no descriptor is no objection"


@pytest.mark.parametrize(("inner", "count"), [((30, 45), 1), ((30, 36), 2)])
def test_a_contained_part_joins_unless_it_is_dwarfed(inner: tuple[int, int], count: int) -> None:
    """Of 30 columns, 15 are half, 6 are a fifth: the whole has more than three times its points."""
    assert len(Merge(iou=0.9)(mapped((20, 50), inner))) == count
    assert len(Merge(iou=0.9, contained=None)(mapped((20, 50), inner))) == 2


def test_half_outside_is_not_contained() -> None:
    assert len(Merge(iou=0.9)(mapped((20, 50), (42, 58)))) == 2


def test_goes_on_while_any_pair_qualifies() -> None:
    """Neighbours overlap by half, the ends not at all: they come together through the middle."""
    scene = mapped((10, 30), (20, 40), (30, 50), (40, 60))
    assert remaining(Merge(iou=0.12, contained=None), scene) == [0]
    kept = scene.copy()
    assert_same_map(Merge(iou=0.12, contained=None)(scene), kept)


def test_nothing_in_common_is_nothing_to_merge() -> None:
    scene = mapped((10, 30), (40, 60), features=torch.eye(2)[[0, 0]])
    kept = scene.copy()
    assert_same_map(Merge(iou=0.0, contained=0.0)(scene), kept)
    assert len(Merge()(SceneMap())) == 0


def test_a_map_made_of_pieces_becomes_whole() -> None:
    scene = run(mapper_of(WALKED, Sloppy(WALKED), associate=Fused(fragment=None)), WALKED[:7])
    merged = Merge()(scene.copy())
    assert len(merged) < len(scene)
    assert_sound(merged)
    again = merged.copy()
    assert_same_map(Merge()(again), merged)
