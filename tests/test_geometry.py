from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.geometry import (
    box_iou_3d,
    invert,
    look_at,
    mask_iou,
    nearest_pixels,
    pixel_grid,
    project,
    rigid,
    transform,
    unproject,
    visible,
    voxel_coordinates,
    voxel_from_keys,
    voxel_keys,
)

HOLOLENS = Path(__file__).parent / "data" / "geometry" / "hololens5.npz"
SEEDS = st.integers(0, 2**31 - 1)
K = torch.tensor([[300.0, 0, 159.2], [0, 310, 121.7], [0, 0, 1]], dtype=torch.float64)


@pytest.fixture(scope="module")
def hololens() -> dict[str, torch.Tensor]:
    with np.load(HOLOLENS) as file:
        return {name: torch.from_numpy(file[name].astype(np.float64)) for name in file.files}


def random_pose(generator: torch.Generator) -> torch.Tensor:
    R, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    return rigid(R * torch.linalg.det(R), torch.randn(3, generator=generator, dtype=torch.float64))


# -- real frames -------------------------------------------------------------------------------------------------------


def test_unprojection_of_real_frames(hololens: dict[str, torch.Tensor]) -> None:
    for depth_mm, uv, pose, in_camera, in_world in zip(
        *(hololens[k] for k in ("depth_mm", "uv", "cam_to_world", "points_cam", "points_world")), strict=True
    ):
        points = unproject(depth_mm / 1000, hololens["K"])
        sampled = points[uv[:, 1].long(), uv[:, 0].long()]
        assert (sampled - in_camera).abs().max() < 1e-9
        assert (transform(pose, sampled) - in_world).abs().max() < 1e-9


def test_reprojection_between_real_frames(hololens: dict[str, torch.Tensor]) -> None:
    size = (360, 540)
    for a in range(5):
        for b in range(5):
            to_b = invert(hololens["cam_to_world"][b])
            uv, z = project(transform(to_b, hololens["points_world"][a]), hololens["K"])
            expected = hololens["reproj_uvz"][a, b]
            assert (torch.cat((uv, z[:, None]), dim=1) - expected).abs().max() < 1e-9
            pixels, inside = nearest_pixels(uv, z, size)
            nearest = hololens["depth_nearest_m"][a, b]
            assert inside.tolist() == (~nearest.isnan()).tolist()
            depth = hololens["depth_mm"][b] / 1000
            assert (depth[pixels[inside, 0], pixels[inside, 1]] - nearest[inside]).abs().max() < 1e-12


def test_real_frames_confirm_one_another(hololens: dict[str, torch.Tensor]) -> None:
    shares = []
    for a in range(5):
        for b in range(5):
            in_b = transform(invert(hololens["cam_to_world"][b]), hololens["points_world"][a])
            seen, pixels = visible(in_b, hololens["K"], hololens["depth_mm"][b] / 1000, 0.05)
            nearest = hololens["depth_nearest_m"][a, b]
            comparable = nearest > 0  # inside the image, and measured there
            expected = comparable & ((in_b[:, 2] - nearest).abs() <= 0.05)
            assert seen.tolist() == expected.tolist()
            assert pixels.min() >= 0
            shares.append(float(seen[comparable].double().mean()))
    assert min(shares) > 0.8


# -- pixels and points -------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 12))
def test_projecting_what_was_unprojected(seed: int, H: int, W: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    depth = torch.rand(H, W, generator=generator, dtype=torch.float64) * 5 + 0.1
    pose = random_pose(generator)
    uv, z = project(transform(invert(pose), transform(pose, unproject(depth, K))), K)
    assert (uv.flip(-1) - pixel_grid((H, W))).abs().max() < 1e-8
    assert (z - depth).abs().max() < 1e-10
    pixels, inside = nearest_pixels(uv, z, (H, W))
    assert inside.all() and (pixels == pixel_grid((H, W))).all()


def test_depth_is_along_the_axis_and_missing_depth_stays_at_the_origin() -> None:
    depth = torch.full((5, 7), 2.0)
    depth[1, 2] = 0
    points = unproject(depth, K)
    assert points.dtype == torch.float32
    assert (points[..., 2] == depth).all()
    assert points[1, 2].tolist() == [0, 0, 0]


def test_what_lies_behind_is_outside() -> None:
    points = torch.tensor([[0.0, 0, 1], [0, 0, -1], [0, 0, 0], [100, 0, 1]])
    uv, z = project(points, K)
    assert torch.isfinite(uv).all()
    assert nearest_pixels(uv, z, (240, 320))[1].tolist() == [True, False, False, False]


def test_pixels_are_rounded_half_to_even_and_their_centres_are_integers() -> None:
    uv = torch.tensor([[0.5, 1.5], [1.5, 0.5], [-0.5, -0.5], [-0.51, 0], [2.5, 2.4], [3.5, 0], [2.51, 0]])
    pixels, inside = nearest_pixels(uv, torch.ones(7), (3, 3))
    assert pixels[:3].tolist() == [[2, 0], [0, 2], [0, 0]]
    assert inside.tolist() == [True, True, True, False, True, False, False]


def test_visible_means_measured_there_within_the_tolerance() -> None:
    depth = torch.full((240, 320), 2.0, dtype=torch.float64)
    depth[:, 200:] = 0
    rays = unproject(torch.ones_like(depth), K)
    points = torch.stack((rays[5, 9] * 2.0, rays[5, 9] * 2.04, rays[5, 9] * 2.06, rays[5, 250] * 2, -rays[5, 9] * 2))
    seen, pixels = visible(points, K, depth, 0.05)
    assert seen.tolist() == [True, True, False, False, False]
    assert pixels[:3].tolist() == [[5, 9]] * 3
    assert visible(points[:0], K, depth, 0.05)[0].shape == (0,)


# -- motions -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_motions_form_a_group(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = random_pose(generator), random_pose(generator)
    points = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(transform(a @ b, points), transform(a, transform(b, points)))
    torch.testing.assert_close(transform(invert(a), transform(a, points)), points)
    torch.testing.assert_close(torch.cdist(transform(a, points), transform(a, points)), torch.cdist(points, points))


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_look_at_is_a_camera_that_sees_its_target_upright(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    eye, target = torch.randn(2, 3, generator=generator, dtype=torch.float64) * 3
    up = torch.tensor([0.0, 0, 1], dtype=torch.float64)
    pose = look_at(eye, target, up)
    R = pose[:3, :3]
    torch.testing.assert_close(R @ R.T, torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(R)) == pytest.approx(1)
    in_camera = transform(invert(pose), torch.stack((target, target + 0.1 * up)))
    distance = float(torch.linalg.norm(target - eye))
    assert in_camera[0].tolist() == pytest.approx([0, 0, distance], abs=1e-9)
    assert in_camera[1, 0] == pytest.approx(0, abs=1e-9) and in_camera[1, 1] < 0  # up in the world is up in the image


# -- voxels ------------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-(2**20), 2**20 - 1)] * 3), min_size=1, max_size=30))
def test_voxel_keys_round_trip_and_keep_order(coordinates: list[tuple[int, int, int]]) -> None:
    voxels = torch.tensor(coordinates)
    keys = voxel_keys(voxels)
    assert (voxel_from_keys(keys) == voxels).all()
    assert [coordinates[i] for i in keys.argsort(stable=True)] == sorted(coordinates)


def test_voxels_are_half_open_boxes_on_both_sides_of_the_origin() -> None:
    points = torch.tensor([[0.0, 0.49, 0.5], [-0.01, -0.5, -0.51]])
    assert voxel_coordinates(points, 0.5).tolist() == [[0, 0, 1], [-1, -1, -2]]


# -- overlaps ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(0, 5), st.integers(0, 5), st.integers(0, 40))
def test_mask_iou_is_its_definition(seed: int, m: int, k: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(rows, n, generator=generator) < 0.4 for rows in (m, k))
    iou = mask_iou(a, b)
    assert iou.shape == (m, k)
    for i in range(m):
        for j in range(k):
            union = int((a[i] | b[j]).sum())
            assert float(iou[i, j]) == pytest.approx(int((a[i] & b[j]).sum()) / union if union else 0)
    torch.testing.assert_close(iou, mask_iou(b, a).T)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_box_iou_is_that_of_the_cells_inside(seed: int) -> None:
    corners = torch.randint(0, 7, (6, 2, 3), generator=torch.Generator().manual_seed(seed))
    boxes = torch.cat((corners.min(dim=1).values, corners.max(dim=1).values), dim=1)
    cells = torch.cartesian_prod(*[torch.arange(7)] * 3)
    inside = ((cells >= boxes[:, None, :3]) & (cells < boxes[:, None, 3:])).all(dim=-1)
    torch.testing.assert_close(box_iou_3d(boxes[:2].float(), boxes[2:].float()), mask_iou(inside[:2], inside[2:]))


def test_box_iou_by_hand() -> None:
    unit = torch.tensor([[0.0, 0, 0, 1, 1, 1]])
    others = torch.tensor([[0.5, 0, 0, 1.5, 1, 1], [2, 2, 2, 3, 3, 3], [0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1]])
    assert box_iou_3d(unit, others).tolist()[0] == pytest.approx([1 / 3, 0, 0, 1])
    assert box_iou_3d(others[2:3], others[2:3]).tolist() == [[0]]
