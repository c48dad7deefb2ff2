"""The voxel grid against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.geometry import invert, look_at, project
from seg3r.scene.points import PointGrid

F32 = np.float32


def fill(grid: PointGrid, points: np.ndarray, stamp: int = 0, colors: np.ndarray | None = None) -> np.ndarray:
    n = len(points)
    return grid.insert(
        points.astype(F32), np.zeros((n, 3), np.uint8) if colors is None else colors, np.zeros((n, 2), np.int32),
        stamp, stamp,
    )


def voxels(grid: PointGrid, positions: np.ndarray) -> np.ndarray:
    return np.floor(positions.astype(np.float64) / grid.voxel_m).astype(np.int64)


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_a_point_for_every_voxel_at_the_mean_of_what_fell_in(count: int) -> None:
    rng = np.random.default_rng(count)
    points = rng.uniform(-0.3, 0.3, (count, 3)).astype(F32)
    colors = rng.integers(0, 256, (count, 3)).astype(np.uint8)
    grid = PointGrid(0.05)
    rows = fill(grid, points, colors=colors)
    keys = voxels(grid, points)
    assert len(grid) == len(np.unique(keys, axis=0))
    for row in range(len(grid)):
        own = rows == row
        assert len(np.unique(keys[own], axis=0)) == 1
        assert np.allclose(grid.table["position"][row], points[own].mean(0), atol=1e-5)
        assert np.allclose(grid.table["color"][row], colors[own].mean(0), atol=1e-2)
        assert grid.table["weight"][row] == own.sum()


def test_a_stamp_counts_once() -> None:
    grid, points = PointGrid(0.05), np.full((7, 3), 0.01)
    for stamp in (0, 0, 3, 4):
        fill(grid, points, stamp)
    assert (len(grid), int(grid.table["seen"][0]), int(grid.table["weight"][0])) == (1, 3, 28)
    assert grid.table["origin"][0].tolist() == [0, 0, 0]


def test_growth_past_every_capacity_keeps_the_rows() -> None:
    """Many points over many blocks, below zero and above: arrays double and the hash is rebuilt on the way."""
    rng = np.random.default_rng(1)
    points = rng.uniform(-20, 20, (30_000, 3)).astype(F32)
    grid = PointGrid(0.02)
    rows = fill(grid, points)
    assert np.array_equal(grid.locate(points), rows)
    assert np.array_equal(fill(grid, points, 1), rows)
    assert len(grid) == len(np.unique(voxels(grid, points), axis=0))
    assert (grid.locate(points + F32(100)) == -1).all()


def test_rounding_carries_no_point_over_the_border_of_its_voxel() -> None:
    """Walls lie on borders: the stored float32 must stay in the voxel whose cell it is in, or saved maps come apart."""
    rng = np.random.default_rng(2)
    points = rng.uniform(-5, 5, (20_000, 3))
    for axis in range(3):
        wall = points[axis::3]
        wall[:, axis] = np.round(wall[:, axis] / 0.02) * 0.02
    grid = PointGrid(0.02)
    grid.T_map_world = np.array([[1, 0, 0, 1.1], [0, 1, 0, 2.2], [0, 0, 1, -0.7], [0, 0, 0, 1.0]])
    for stamp in range(4):
        fill(grid, points + rng.normal(0, 1e-6, points.shape), stamp)
    stored = grid.table["position"][: len(grid)]
    assert len(np.unique(voxels(grid, stored), axis=0)) == len(grid)
    again = PointGrid(0.02)
    again.load({n: grid.table[n][: len(grid)] for n in ("position", "color", "origin", "seen", "weight")})
    assert np.array_equal(again.locate(stored), np.arange(len(grid)))


def test_load_rebuilds_the_grid() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(-3, 3, (5000, 3)).astype(F32)
    one, two = PointGrid(0.1), PointGrid(0.1)
    fill(one, points)
    two.load({n: one.table[n][: len(one)] for n in ("position", "color", "origin", "seen", "weight")})
    more = rng.uniform(-4, 4, (5000, 3)).astype(F32)
    assert np.array_equal(fill(one, more, 1), fill(two, more, 1))
    assert np.array_equal(one.table["position"][: len(one)], two.table["position"][: len(two)])


def test_a_copy_is_independent() -> None:
    grid = PointGrid(0.1)
    fill(grid, np.zeros((1, 3)))
    twin = grid.copy()
    fill(twin, np.full((1, 3), 5.0))
    fill(twin, np.full((1, 3), 0.05), 1)
    assert (len(grid), len(twin)) == (1, 2)
    assert grid.table["position"][0].tolist() == [0, 0, 0]
    assert grid.locate(np.full((1, 3), 5.0, F32)).tolist() == [-1]


def test_locate_with_reach_finds_neighbours_only() -> None:
    grid = PointGrid(1.0)
    fill(grid, np.array([[0.5, 0.5, 0.5]]))
    offs = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
    near = np.abs(offs).max(1) <= 1
    assert np.array_equal(grid.locate((offs + 0.5).astype(F32), reach=1) >= 0, near)
    assert np.array_equal(grid.locate((offs + 0.5).astype(F32)) >= 0, np.abs(offs).max(1) == 0)


def test_new_voxels_are_counted_once_per_segment_and_only_off_the_map() -> None:
    grid = PointGrid(1.0)
    fill(grid, np.array([[0.5, 0.5, 0.5]]))
    points = np.array([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [5.5, 0, 0], [5.6, 0, 0], [5.5, 0, 0], [-7.5, 3, 2]], F32)
    segment_ids = np.array([0, 0, 0, 0, 1, 1])
    assert grid.new_voxels(points, segment_ids, 3).tolist() == [1, 2, 0]


def test_new_voxels_against_sets() -> None:
    rng = np.random.default_rng(4)
    grid = PointGrid(1.0)
    points = rng.integers(-8, 8, (4000, 3)).astype(F32) + F32(0.5)
    segment_ids = np.sort(rng.integers(0, 5, 4000))
    expected = [len({tuple(p) for p in points[segment_ids == s].tolist()}) for s in range(6)]
    assert grid.new_voxels(points, segment_ids, 6).tolist() == expected


def test_within_reach_along_the_ray_a_point_counts_for_the_one_there() -> None:
    """Noise in depth grows no second shell; what lies beside, or further off, is another point."""
    grid, eye = PointGrid(0.25), np.array([0.125, 0.125, 0.125])
    nothing = np.zeros((1, 3), np.uint8), np.zeros((1, 2), np.int32)
    grid.insert(np.array([[2.625, 0.125, 0.125]], F32), *nothing, 0, 0, eye, 2)
    for place, row in [((2.625, 0.125, 0.125), 0), ((3.0, 0.125, 0.125), 0), ((2.2, 0.125, 0.125), 0),
                       ((3.4, 0.125, 0.125), 1), ((2.625, 0.375, 0.125), 2), ((2.625, 0.125, 0.625), 3)]:
        assert grid.insert(np.array([place], F32), *nothing, 1, 1, eye, 2).tolist() == [row], place
    assert grid.table["position"][0].tolist() == [2.625, 0.125, 0.125], "it counts, but does not pull"
    assert grid.table["seen"][0] == 2
    assert grid.insert(np.array([[3.0, 0.125, 0.125]], F32), *nothing, 2, 2).tolist() == [4], "without an eye: none"


@pytest.mark.parametrize(("range_m", "reach"), [(1.0, 2), (2.9, 2), (4.0, 3), (6.0, 8)])
def test_the_reach_grows_with_the_square_of_the_range(range_m: float, reach: int) -> None:
    """As the noise of depth cameras does: twice as far beyond three metres, four times the reach."""
    nothing = np.zeros((1, 3), np.uint8), np.zeros((1, 2), np.int32)
    for off in range(1, 12):
        grid = PointGrid(0.02)
        first, second = np.array([[range_m + 0.01, 0.01, 0.01]], F32), np.array([[range_m + 0.01, 0.01, 0.01]], F32)
        second[0, 0] += 0.02 * off
        eye = np.array([0.01, 0.01, 0.01])
        grid.insert(first, *nothing, 0, 0, eye, 2)
        known = grid.insert(second, *nothing, 1, 1, eye, 2).tolist() == [0]
        measured = int(2 * max(1.0, ((range_m + 0.02 * off) / 3.0) ** 2))
        assert known == (off <= measured), off
        assert not (off <= reach) or known


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), voxel=st.sampled_from([0.005, 0.02, 0.07]), wide=st.booleans())
def test_visible_is_what_brute_force_says(seed: int, voxel: float, wide: bool) -> None:
    """Every point against a rugged depth map with holes, from any side, coordinates of either sign."""
    rng = np.random.default_rng(seed)
    H, W = (30, 40) if not wide else (14, 970)  # the wide one is taken six pixels at a time
    f = rng.uniform(0.5, 1.2) * W
    K = torch.tensor([[f, 0, (W - 1) / 2], [0, f, (H - 1) / 2], [0, 0, 1]], dtype=torch.float64)
    eye, target = torch.from_numpy(rng.uniform(-3, 3, 3)), torch.from_numpy(rng.uniform(-1, 1, 3))
    T = look_at(eye, target, torch.tensor([0.1, 0.2, 1.0], dtype=torch.float64))
    coarse = rng.uniform(0.3, 4, (3, 4)) if rng.random() < 0.5 else np.full((3, 4), rng.uniform(0.3, 4))
    depth = torch.nn.functional.interpolate(
        torch.from_numpy(coarse)[None, None], (H, W), mode=str(rng.choice(["nearest", "bilinear"]))
    )[0, 0].to(torch.float32)
    depth[torch.from_numpy(rng.random((H, W)) < 0.1)] = 0

    n, tolerance = 6000, 0.05
    uv = rng.uniform(-0.1, 1.1, (n, 2)) * (W, H)
    column, row = uv[:, 0].clip(0, W - 1).astype(int), uv[:, 1].clip(0, H - 1).astype(int)
    z = depth.numpy()[row, column] + rng.normal(0, 0.04, n)
    cam = np.stack(((uv[:, 0] - K[0, 2].item()) / f * z, (uv[:, 1] - K[1, 2].item()) / f * z, z), 1)
    R, t = T[:3, :3].numpy(), T[:3, 3].numpy()
    grid = PointGrid(voxel)
    grid.T_map_world = invert(look_at(target, eye, torch.tensor([0.0, 1.0, 0.3], dtype=torch.float64))).numpy()
    fill(grid, cam @ R.T + t)

    rows, pixels = grid.visible(depth.numpy(), K.numpy(), T.numpy(), tolerance)
    T_cam_map = invert(torch.from_numpy(grid.T_map_world) @ T).numpy()
    mine = grid.table["position"][: len(grid)].astype(np.float64) @ T_cam_map[:3, :3].T + T_cam_map[:3, 3]
    uv_, z_ = project(torch.from_numpy(mine), K)
    uv_, z_ = uv_.numpy(), z_.numpy()
    nearest = np.rint(uv_)
    inside = (z_ > 0) & (nearest >= 0).all(1) & (nearest[:, 0] < W) & (nearest[:, 1] < H)
    flat = np.where(inside, nearest[:, 1] * W + nearest[:, 0], 0).astype(int)
    measured = depth.numpy().ravel()[flat].astype(np.float64)
    expected = inside & (measured > 0) & (np.abs(z_ - measured) <= tolerance)
    doubtful = (np.abs(np.abs(z_ - measured) - tolerance) < 1e-9) | (np.abs(uv_ - np.floor(uv_) - 0.5) < 1e-9).any(1)

    got = np.zeros(len(grid), bool)
    got[rows] = True
    assert len(np.unique(rows)) == len(rows)
    assert np.array_equal(got[~doubtful], expected[~doubtful])
    assert np.array_equal(pixels[~doubtful[rows]], flat[rows][~doubtful[rows]])

    every = grid.project(np.arange(len(grid), dtype=np.int32), depth.numpy(), K.numpy(), T.numpy(), tolerance)
    assert np.array_equal(every[~doubtful], np.where(expected, flat, -1)[~doubtful])


def test_world_positions_undo_the_maps_own_frame() -> None:
    rng = np.random.default_rng(5)
    points = rng.uniform(-2, 2, (200, 3)).astype(F32)
    grid = PointGrid(1e-4)
    grid.T_map_world = look_at(*torch.from_numpy(rng.uniform(-5, 5, (3, 3)))).numpy()
    rows = fill(grid, points)
    assert np.allclose(grid.world_positions(rows), points, atol=2e-6)
