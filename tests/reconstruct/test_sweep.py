"""Plane sweep: true on a room with true poses, the same in every world and unit, silent where nothing can be known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.transform import Rotation

from seg3r.errors import InputError
from seg3r.kernels import sweep as kernels
from seg3r.reconstruct.sweep import PosedImage, Sweep, SweptView
from seg3r.rooms import split_seeds
from seg3r.sources.rooms import RoomsSource

F32 = npt.NDArray[np.float32]
SIZE = (120, 160)
SWEEP = Sweep(width=160, planes=48)
NEAR, FAR = 0.6, 6.0


def posed(gray: npt.NDArray[np.uint8], x: float = 0.0) -> PosedImage:
    T = np.eye(4)
    T[0, 3] = x
    H, W = gray.shape
    return PosedImage(gray, np.array([[150.0, 0, (W - 1) / 2], [0, 150.0, (H - 1) / 2], [0, 0, 1]]), T)


@cache
def room() -> tuple[tuple[PosedImage, ...], tuple[F32, ...]]:
    """A few frames of a walk, and their true depth."""
    recording = RoomsSource(split_seeds("train", 1)[0], frames=60, size=SIZE, depth="clean")
    views, depths = [], []
    for index in range(10, 18):
        frame = recording.frame(index)
        assert frame.camera is not None and frame.depth is not None
        gray = np.round(frame.rgb.numpy() @ (0.299, 0.587, 0.114)).astype(np.uint8)
        views.append(PosedImage(gray, frame.camera.K.numpy(), frame.camera.T_world_cam.numpy()))
        depths.append(frame.depth.numpy())
    return tuple(views), tuple(depths)


def sources(k: int) -> list[PosedImage]:
    return [room()[0][k + step] for step in (-2, 2, 3)]


@cache
def swept(k: int) -> tuple[F32, F32]:
    return SWEEP(room()[0][k], sources(k), NEAR, FAR)


def off(depth: F32, sure: F32, truth: F32) -> npt.NDArray[np.float64]:
    use = (sure > 0) & (truth > 0)
    return np.asarray(np.abs(depth[use] - truth[use]) / truth[use], np.float64)


def test_a_room_comes_out_true() -> None:
    depth, sure = swept(4)
    error = off(depth, sure, room()[1][4])
    assert (sure > 0).mean() > 0.4
    assert error.mean() < 0.04
    assert (error > 0.25).mean() < 0.02
    assert depth.dtype == sure.dtype == np.float32
    assert float(sure.max()) <= 1
    assert (depth[sure > 0] > 0).all()


def test_what_is_surer_is_truer() -> None:
    depth, sure = swept(4)
    truth = room()[1][4]
    middle = np.median(sure[sure > 0])
    assert off(depth, sure * (sure > middle), truth).mean() < off(depth, sure * (sure <= middle), truth).mean()


def test_earlier_views_help() -> None:
    views, truths = room()
    earlier = [SweptView(views[k], *swept(k)) for k in (2, 3)]
    depth, sure = SWEEP(views[4], sources(4), NEAR, FAR, earlier)
    alone, alone_sure = swept(4)
    assert (sure > 0).mean() > (alone_sure > 0).mean()
    assert off(depth, sure, truths[4]).mean() < off(alone, alone_sure, truths[4]).mean() + 0.005


def test_earlier_depth_is_not_believed_against_the_images() -> None:
    """A wrong history denies what is less than sure; it does not put its own in the place of what the images show."""
    views, truths = room()
    depth, sure = swept(3)
    lie = SweptView(views[3], (1.5 * depth).astype(np.float32), sure)
    found, found_sure = SWEEP(views[4], sources(4), NEAR, FAR, [lie])
    shown = swept(4)[1] > 0
    assert off(found[shown], found_sure[shown], truths[4][shown]).mean() < 0.05


def test_carried_depth_closes_what_a_view_alone_cannot_know() -> None:
    """A view without any parallax of its own knows what the last one saw; only where nothing speaks against it."""
    texture = np.random.default_rng(0).integers(0, 255, (90, 120)).astype(np.uint8)
    standing = posed(texture)
    before = SweptView(standing, np.full((90, 120), 2, np.float32), np.full((90, 120), 0.8, np.float32))
    depth, sure = Sweep(width=120, planes=32)(standing, [standing], 1.0, 5.0, [before])
    assert (sure > 0).mean() > 0.9
    np.testing.assert_allclose(depth[sure > 0], 2.0, rtol=1e-5)
    assert float(sure.max()) < 0.8, "less sure than it was"
    relit = PosedImage(255 - texture, standing.K, standing.T_world_cam)
    _, other = Sweep(width=120, planes=32)(relit, [relit], 1.0, 5.0, [before])
    assert (other > 0).mean() < 0.05, "it no longer looks so"


def test_same_input_same_bytes_and_any_order_of_sources() -> None:
    depth, sure = swept(4)
    again, again_sure = SWEEP(room()[0][4], sources(4)[::-1], NEAR, FAR)
    np.testing.assert_array_equal(again, depth)
    np.testing.assert_array_equal(again_sure, sure)


@pytest.mark.parametrize("unit", [0.25, 8.0])
def test_depth_has_the_unit_of_the_poses(unit: float) -> None:
    def scaled(view: PosedImage) -> PosedImage:
        T = view.T_world_cam.copy()
        T[:3, 3] *= unit
        return replace(view, T_world_cam=T)

    depth, sure = SWEEP(scaled(room()[0][4]), [scaled(s) for s in sources(4)], NEAR * unit, FAR * unit)
    use = (sure > 0) & (swept(4)[1] > 0)
    assert use.mean() > 0.98 * (swept(4)[1] > 0).mean()
    np.testing.assert_allclose(np.median(depth[use] / swept(4)[0][use]), unit, rtol=1e-4)


def test_the_world_does_not_matter() -> None:
    elsewhere = np.eye(4)
    elsewhere[:3, :3] = Rotation.from_rotvec((0.3, -1.0, 0.5)).as_matrix()
    elsewhere[:3, 3] = (40.0, -7.0, 3.0)

    def moved(view: PosedImage) -> PosedImage:
        return replace(view, T_world_cam=elsewhere @ view.T_world_cam)

    depth, sure = SWEEP(moved(room()[0][4]), [moved(s) for s in sources(4)], NEAR, FAR)
    same = (sure > 0) == (swept(4)[1] > 0)
    assert same.mean() > 0.99
    use = (sure > 0) & (swept(4)[1] > 0)
    assert np.quantile(np.abs(depth[use] / swept(4)[0][use] - 1), 0.99) < 0.01


def test_a_wall_across_the_view_by_hand() -> None:
    """A texture at 2 m, seen from 0.2 m to either side: 15 pixels of shift."""
    texture = np.random.default_rng(0).integers(0, 255, (90, 200)).astype(np.uint8)
    views = [posed(texture[:, 40 + shift : 160 + shift], x) for shift, x in ((0, 0.0), (15, 0.2), (-15, -0.2))]
    depth, sure = Sweep(width=120, planes=40)(views[0], views[1:], 1.0, 5.0)
    inside = (slice(6, -6), slice(24, -24))
    assert (sure[inside] > 0).mean() > 0.99
    np.testing.assert_allclose(depth[inside][sure[inside] > 0], 2.0, rtol=0.01)


def test_nothing_is_said_where_nothing_can_be_known() -> None:
    rng = np.random.default_rng(1)
    texture = rng.integers(0, 255, (90, 120)).astype(np.uint8)
    small = Sweep(width=120, planes=32)
    _, standing = small(posed(texture), [posed(texture), posed(texture)], 1.0, 5.0)
    assert not standing.any(), "no parallax"
    grey = np.full((90, 120), 90, np.uint8)
    _, blank = small(posed(grey), [posed(grey, 0.2), posed(grey, -0.2)], 1.0, 5.0)
    assert not blank.any(), "no texture"
    other = rng.integers(0, 255, (90, 120)).astype(np.uint8)
    _, unrelated = small(posed(texture), [posed(other, 0.2)], 1.0, 5.0)
    assert (unrelated > 0).mean() < 0.01, "another scene"
    _, turned_away = small(posed(texture), [posed(texture, 50.0)], 1.0, 5.0)
    assert not turned_away.any(), "no overlap"


def test_a_reduced_sweep_says_the_same_at_full_size() -> None:
    depth, sure = Sweep(width=80, planes=48)(room()[0][4], sources(4), NEAR, FAR)
    assert depth.shape == SIZE
    assert (sure > 0).mean() > 0.3
    assert off(depth, sure, room()[1][4]).mean() < 0.08  # pixels of twice the size


@pytest.mark.parametrize(("near", "far"), [(0.0, 5.0), (2.0, 2.0), (1.0, np.inf), (np.nan, 5.0)])
def test_a_range_that_is_none(near: float, far: float) -> None:
    view = posed(np.zeros((20, 30), np.uint8))
    with pytest.raises(InputError, match="0 < near < far"):
        SWEEP(view, [view], near, far)


def test_no_source() -> None:
    with pytest.raises(InputError, match="at least one other view"):
        SWEEP(posed(np.zeros((20, 30), np.uint8)), [], 1.0, 2.0)


def test_images_that_do_not_fit() -> None:
    view = posed(np.zeros((20, 30), np.uint8))
    with pytest.raises(InputError, match="30x20 image: every other view"):
        SWEEP(view, [view, posed(np.zeros((20, 31), np.uint8))], 1.0, 2.0)
    speck = posed(np.zeros((3, 30), np.uint8))
    with pytest.raises(InputError, match="smaller than a window"):
        SWEEP(speck, [speck], 1.0, 2.0)


# ---- the kernels -----------------------------------------------------------------------------------------------------


def two_surfaces() -> F32:
    depth = np.ones((12, 16), np.float32)
    depth[:, 8:] = 2
    return depth


def test_rims_are_dropped_on_both_sides() -> None:
    sure = np.ones((12, 16), np.float32)
    kernels.drop_rims(two_surfaces(), 0.08, sure)
    assert not sure[:, 7:9].any()
    assert sure[:, :7].all() and sure[:, 9:].all()


def test_specks_are_dropped_and_surfaces_are_not() -> None:
    depth = two_surfaces()
    depth[4:6, 2:4] = 3
    sure = np.ones((12, 16), np.float32)
    kernels.drop_specks(depth, 0.04, 5, sure)
    assert not sure[4:6, 2:4].any()
    assert sure.sum() == 12 * 16 - 4


def test_support_comes_from_the_same_surface() -> None:
    out = np.empty((12, 16), np.float32)
    kernels.support(two_surfaces(), np.ones((12, 16), np.float32), 1, 0.04, out)
    assert out[5, 3] == pytest.approx(1)
    assert out[5, 7] == pytest.approx(6 / 9)


def test_enlarging_never_mixes_two_surfaces() -> None:
    small, sure = two_surfaces(), np.ones((12, 16), np.float32)
    full, full_sure = np.empty((31, 40), np.float32), np.empty((31, 40), np.float32)
    kernels.enlarge(small, sure, 0.08, full, full_sure)
    assert set(np.unique(full.round(5))) == {1.0, 2.0}
    assert full_sure.all()
    sure[:, 3] = 0
    kernels.enlarge(small, sure, 0.08, full, full_sure)
    assert (full[full_sure == 0] == 0).all()
    assert 0 < (full_sure == 0).mean() < 0.1


def test_enlarging_a_slope_stays_on_it() -> None:
    """Inverse depth is linear on a plane, so a plane stays one."""
    rows, columns = np.mgrid[:12, :16]
    inverse = 0.5 + 0.01 * columns + 0.005 * rows
    full, sure = np.empty((24, 32), np.float32), np.empty((24, 32), np.float32)
    kernels.enlarge((1 / inverse).astype(np.float32), np.ones((12, 16), np.float32), 0.08, full, sure)
    rows, columns = np.mgrid[:24, :32]
    expected = 0.5 + 0.01 * ((columns + 0.5) / 2 - 0.5) + 0.005 * ((rows + 0.5) / 2 - 0.5)
    inside = (slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(1 / full[inside], expected[inside], rtol=1e-5)


def test_paths_agree_with_a_plain_loop() -> None:
    """Semi-global aggregation against a few lines of numpy."""
    rng = np.random.default_rng(2)
    h, w, planes, small, large, edge = 5, 6, 7, 5, 40, 6.0
    cost = rng.integers(0, 120, (h, w, planes)).astype(np.uint8)
    gray = rng.integers(-100, 100, (h, w)).astype(np.float32)
    total = np.empty((h, w, planes), np.int16)
    kernels.aggregate(cost, gray, small, large, edge, total)
    expected = np.zeros((h, w, planes), np.int64)
    apart = np.abs(np.arange(planes)[:, None] - np.arange(planes)[None])
    for dr, dc in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]:
        path = np.zeros((h, w, planes), np.int64)
        for r in range(h) if dr >= 0 else range(h - 1, -1, -1):
            for c in range(w) if dc >= 0 else range(w - 1, -1, -1):
                i, j = r - dr, c - dc
                path[r, c] = cost[r, c]
                if 0 <= i < h and 0 <= j < w:
                    p2 = max(2 * small, int(large / (1 + abs(float(gray[r, c]) - float(gray[i, j])) / edge)))
                    penalty = np.where(apart == 0, 0, np.where(apart == 1, small, p2))
                    path[r, c] += (path[i, j][None] + penalty).min(1) - path[i, j].min()
        expected += path
    np.testing.assert_array_equal(total, expected)
