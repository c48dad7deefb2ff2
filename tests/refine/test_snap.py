"""Superpoints, where there are some."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from seg3r.refine.snap import Snap
from seg3r.scene import SceneMap
from tests.loops import assert_same_map, assert_sound
from tests.refine.maps import first, mapped


def left_right(scene: SceneMap, split: float, remaining: float = 0.0) -> Snap:
    """The map's own points as vertices; two superpoints, parted at a share of the width of the first instance."""
    points, own = scene.points, scene.points_of(first(scene))[0]
    x = points[own, 0]
    border = float(x.quantile(split))
    inside = torch.zeros(len(points), dtype=torch.bool)
    inside[own] = True
    superpoints = torch.where(inside, torch.where(points[:, 0] <= border, 0, 1), 2)
    return Snap(points, superpoints, remaining=remaining)


def keep(scene: SceneMap, share_left: float, share_right: float, snap: Snap) -> tuple[set[int], set[int], set[int]]:
    """Leave the instance these shares of its superpoints; returns the superpoints and what was left."""
    points = scene.points_of(first(scene))[0]
    sp = snap.superpoints[points]
    left, right = points[sp == 0], points[sp == 1]
    rng = torch.Generator().manual_seed(0)
    own = torch.cat([p[torch.randperm(len(p), generator=rng)[: round(s * len(p))]]
                     for p, s in ((left, share_left), (right, share_right))]).sort().values
    ones = torch.ones(len(own), dtype=torch.int32)
    scene.set_points(first(scene), own, ones, ones)
    return set(left.tolist()), set(right.tolist()), set(own.tolist())


@pytest.mark.parametrize("ours", [0.0, 0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("theirs", [0.1, 0.4, 0.7])
def test_half_joins_wholly_a_fifth_stays_less_goes(ours: float, theirs: float) -> None:
    scene = mapped((20, 50))
    snap = left_right(scene, 0.5)
    left, right, own = keep(scene, ours, theirs, snap)
    snapped = snap(scene)
    expected = set()
    for superpoint, share in ((left, ours), (right, theirs)):
        expected |= superpoint if share >= 0.5 else own & superpoint if share >= 0.2 else set()
    assert set(snapped.points_of(first(snapped))[0].tolist()) == expected
    assert_sound(snapped)
    again = snapped.copy()
    assert_same_map(snap(again), snapped)


@pytest.mark.parametrize(("theirs", "ours"), [(0.1, 0.1), (0.15, 0.0)])
def test_what_superpoints_would_dissolve_stays(theirs: float, ours: float) -> None:
    """A poster is a tenth of its wall: that shape does not part them is no reason to forget it."""
    scene = mapped((20, 50))
    snap = left_right(scene, 0.5, remaining=0.5)
    _, _, own = keep(scene, ours, theirs, snap)
    assert set(snap(scene).points_of(first(scene))[0].tolist()) == own


def test_half_of_an_instance_may_go() -> None:
    scene = mapped((20, 50))
    snap = left_right(scene, 0.5, remaining=0.5)
    left, _, _ = keep(scene, 0.9, 0.1, snap)
    assert set(snap(scene).points_of(first(scene))[0].tolist()) == left


def wide(scene: SceneMap, least: float = 0.4) -> Snap:
    """One superpoint for the instance of columns 20..50 and for what lies beside it up to column 60."""
    row, column = scene.pixels[:, 1], scene.pixels[:, 2]
    inside = (row >= 20) & (row < 40) & (column >= 20) & (column < 60)
    return Snap(scene.points, torch.where(inside, 0, 1), least=least)


def columns(scene: SceneMap) -> torch.Tensor:
    return scene.pixels[scene.points_of(first(scene))[0], 2]


def test_what_the_views_deny_does_not_join() -> None:
    scene = mapped((20, 50))
    before = set(scene.points_of(first(scene))[0].tolist())
    assert int(columns(wide(scene, least=0.0)(scene.copy())).max()) >= 58  # by shape alone
    snapped = wide(scene)(scene.copy())
    assert before <= set(snapped.points_of(first(snapped))[0].tolist())
    assert int(columns(snapped).max()) <= 52  # the mask ends at 50, and is widened by a reduced pixel
    assert_sound(snapped)


def test_what_no_view_sees_joins_with_a_weak_claim() -> None:
    scene = mapped((20, 50))
    before = scene.points_of(first(scene))[0]
    scene._keyframes.rename(first(scene), -1)
    scene._instances["observations"][:] = 5
    snapped = wide(scene)(scene)
    points, hits, views = snapped.points_of(first(snapped))
    new = ~torch.isin(points, before)
    assert int(columns(snapped).max()) >= 58 and int(new.sum()) > 50
    assert hits[new].unique().tolist() == [1] and views[new].unique().tolist() == [5]
    assert_sound(snapped)


def assert_same_claims(a: SceneMap, b: SceneMap) -> None:
    for name in ("points", "ids", "owners", "hits", "views"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_out_of_reach_of_the_mesh_nothing_changes() -> None:
    scene = mapped((20, 50))
    before = scene.copy()
    far = Snap(scene.points + 10, torch.zeros(scene.point_count, dtype=torch.int64))
    assert_same_claims(far(scene), before)
    none = Snap(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert_same_claims(none(scene), before)
    assert SceneMap().point_count == far(SceneMap()).point_count


def test_it_is_a_function() -> None:
    """The same map in, the same map out; the mesh and its superpoints are only read."""
    scene = mapped((20, 50), (30, 60))
    snap = left_right(scene, 0.4)
    vertices, superpoints = snap.vertices.clone(), snap.superpoints.clone()
    one, two = snap(scene.copy()), snap(scene.copy())
    assert_same_map(one, two)
    assert torch.equal(snap.vertices, vertices)
    assert torch.equal(snap.superpoints, superpoints)
    assert np.array_equal(one.points, scene.points)


def test_the_path_without_a_mesh_never_imports_it() -> None:
    code = (
        "import sys, seg3r; seg3r.opentrack3d(); "
        "print([m for m in sys.modules if m.startswith('seg3r') and m.split('.')[-1] in ('snap', 'superpoints')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
