"""Colour on the depth's grid: a plane whose colour at every point is known, seen by two cameras."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seg3r import geometry
from seg3r.sources.align import color_at_depth, resize_color

SIZE_COLOR, SIZE_DEPTH = (96, 128), (40, 56)
NORMAL = torch.tensor([0.1, -0.15, 1.0], dtype=torch.float64)


def K(f: float, cx: float, cy: float) -> Tensor:
    return torch.tensor([[f, 0, cx], [0, 1.02 * f, cy], [0, 0, 1]], dtype=torch.float64)


K_COLOR, K_DEPTH = K(110.0, 62.0, 49.0), K(48.0, 28.3, 19.1)


def paint(points: Tensor) -> Tensor:
    """Colour of a point of the world, smooth."""
    x, y = points[..., 0], points[..., 1]
    return torch.stack((128 + 90 * torch.sin(2 * x), 128 + 90 * torch.cos(2 * y), 128 + 60 * torch.sin(x + y)), -1)


def plane(K: Tensor, T_world_cam: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(depth, points) of the plane NORMAL . X = 2 seen by a camera."""
    rays = geometry.unproject(torch.ones(size, dtype=torch.float64), K)
    R, t = T_world_cam[:3, :3], T_world_cam[:3, 3]
    depth = (2.0 - NORMAL @ t) / (rays @ R.T @ NORMAL)
    return depth, (depth[..., None] * rays) @ R.T + t


def shot(K_color: Tensor, T: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Colour image of the camera at the origin; depth, and true colours, of the camera at T."""
    _, seen = plane(K_color, torch.eye(4, dtype=torch.float64), SIZE_COLOR)
    depth, points = plane(K_DEPTH, T, SIZE_DEPTH)
    return paint(seen).round().to(torch.uint8), depth.to(torch.float32), paint(points)


def moved(x: float, y: float, z: float, turn: float) -> Tensor:
    R = torch.linalg.matrix_exp(turn * torch.tensor([[0, -1, 0.5], [1, 0, -0.3], [-0.5, 0.3, 0]], dtype=torch.float64))
    return geometry.rigid(R, torch.tensor([x, y, z], dtype=torch.float64))


@given(f=st.floats(60, 260), cx=st.floats(55, 72), cy=st.floats(42, 54))
@settings(max_examples=25, deadline=None)
def test_same_centre_only_intrinsics_count(f: float, cx: float, cy: float) -> None:
    rgb, depth, truth = shot(K(f, cx, cy), torch.eye(4, dtype=torch.float64))
    aligned, kept = color_at_depth(rgb, depth, K(f, cx, cy), K_DEPTH)
    seen = kept > 0
    assert torch.equal(kept[seen], depth[seen])
    if seen.any():
        inner = seen.clone()
        inner[[0, -1]] = inner[:, [0, -1]] = False
        error = (aligned.double() - truth).abs().amax(-1)
        # At the outermost half pixel the border is repeated instead of extrapolated.
        assert float(error[inner].mean() if inner.any() else 0.0) < 1.5
        assert float(error[seen].max()) < 12


@given(x=st.floats(-0.1, 0.1), y=st.floats(-0.1, 0.1), z=st.floats(-0.1, 0.1), turn=st.floats(-0.1, 0.1))
@settings(max_examples=25, deadline=None)
def test_two_cameras(x: float, y: float, z: float, turn: float) -> None:
    T = moved(x, y, z, turn)
    rgb, depth, truth = shot(K_COLOR, T)
    aligned, kept = color_at_depth(rgb, depth, K_COLOR, K_DEPTH, T)
    seen = kept > 0
    assert seen.float().mean() > 0.5
    error = (aligned.double() - truth).abs().amax(-1)[seen]
    assert float(error.mean()) < 1.5


def test_extrinsics_matter() -> None:
    """The same data aligned as if the cameras stood in one place is visibly wrong: the property above can fail."""
    T = moved(0.1, 0.05, 0.0, 0.05)
    rgb, depth, truth = shot(K_COLOR, T)
    aligned, _ = color_at_depth(rgb, depth, K_COLOR, K_DEPTH)
    assert float((aligned.double() - truth).abs().mean()) > 5


def test_depth_without_colour_is_dropped() -> None:
    narrow = K(300.0, 63.5, 47.5)
    rgb, depth, _ = shot(narrow, torch.eye(4, dtype=torch.float64))
    _, kept = color_at_depth(rgb, depth, narrow, K_DEPTH)
    uv, _ = geometry.project(geometry.unproject(depth.double(), K_DEPTH), narrow)
    inside = (uv[..., 0].abs() < 1e9) & (uv[..., 0] >= -0.5) & (uv[..., 0] <= 127.5)
    inside &= (uv[..., 1] >= -0.5) & (uv[..., 1] <= 95.5)
    assert torch.equal(kept > 0, inside)
    assert 0 < int(inside.sum()) < inside.numel()


def test_hidden_from_the_colour_camera() -> None:
    """A board before a wall, the depth camera 20 cm to the right: wall it sees past the board's edge has no colour."""
    T = moved(0.2, 0.0, 0.0, 0.0)
    depth = torch.full(SIZE_DEPTH, 2.0)
    depth[:, :20] = 0.8
    rgb = torch.zeros((*SIZE_COLOR, 3), dtype=torch.uint8)
    _, kept = color_at_depth(rgb, depth, K_COLOR, K_DEPTH, T)
    dropped = (kept == 0)[10:30].float().mean(0)
    # The board's edge shifts by f b (1/0.8 - 1/2) = 7.2 px against the wall.
    assert dropped[:20].max() == 0
    assert 5 <= int((dropped[20:30] > 0.9).sum()) <= 9
    assert dropped[30:50].max() == 0


def test_nothing_in_front_of_the_colour_camera() -> None:
    rgb, depth, _ = shot(K_COLOR, torch.eye(4, dtype=torch.float64))
    _, kept = color_at_depth(rgb, depth, K_COLOR, K_DEPTH, moved(0.0, 0.0, -50.0, 0.0))
    assert not kept.any()
    aligned, kept = color_at_depth(rgb, torch.zeros(SIZE_DEPTH), K_COLOR, K_DEPTH, moved(0.1, 0.0, 0.0, 0.0))
    assert not kept.any() and aligned.shape == (*SIZE_DEPTH, 3)


def test_reduction_averages() -> None:
    """Stripes finer than the depth's pixels become their mean, not a moire."""
    rgb = torch.zeros((*SIZE_COLOR, 3), dtype=torch.uint8)
    rgb[:, ::2] = 200
    K_fine = K(4 * 48.0, 62.0, 49.0)
    aligned, kept = color_at_depth(rgb, torch.ones(SIZE_DEPTH), K_fine, K_DEPTH)
    assert aligned[kept > 0].float().sub(100).abs().max() <= 2


@pytest.mark.parametrize("size", [(12, 16), (48, 64)])
def test_resize_keeps_the_view(size: tuple[int, int]) -> None:
    """A ramp keeps its values at corresponding pixel centres (half-pixel convention of Camera.scaled)."""
    y, x = np.mgrid[:24, :32].astype(np.float64)
    rgb = torch.from_numpy(np.stack((6 * x + 20, 8 * y + 20, 0 * x), -1).astype(np.uint8))
    resized = resize_color(rgb, size).double().numpy()
    v, u = ((np.arange(n) + 0.5) * (m / n) - 0.5 for n, m in zip(size, (24, 32), strict=True))
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(resized[..., 0][inner], np.broadcast_to(6 * u + 20, size)[inner], atol=1)
    np.testing.assert_allclose(resized[..., 1][inner], np.broadcast_to((8 * v + 20)[:, None], size)[inner], atol=1)
