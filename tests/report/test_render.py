"""The renderer: what is nearest is seen, backs are cut away, up is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.geometry import look_at
from seg3r.report.render import RoomFrame, fit_camera, read_room, render_cloud, surface, viewpoints
from seg3r.scene import SceneMap
from seg3r.types import Camera
from tests.maps import table_map

RED, BLUE = (250, 10, 10), (10, 10, 250)


def camera(eye: tuple[float, float, float], target: tuple[float, float, float]) -> Camera:
    K = torch.tensor([[60.0, 0, 39.5], [0, 60, 29.5], [0, 0, 1]], dtype=torch.float64)
    place, aim = torch.tensor(eye, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    return Camera(K, look_at(place, aim, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)), (60, 80))


def plate(x: float, half: float, step: float = 0.02) -> np.ndarray:
    y, z = np.meshgrid(np.arange(-half, half, step), np.arange(-half, half, step))
    return np.stack((np.full(y.size, x), y.ravel(), z.ravel()), 1).astype(np.float32)


@pytest.mark.parametrize("swap", [False, True])
def test_nearest_wins_from_either_side_whatever_the_order(swap: bool) -> None:
    near, far = plate(0.0, 0.2), plate(1.0, 0.2)
    points = np.concatenate((far, near) if swap else (near, far))
    colors = np.array([BLUE] * len(near) + [RED] * len(near), np.uint8) if not swap else np.array(
        [RED] * len(near) + [BLUE] * len(near), np.uint8)
    front = render_cloud(points, colors, camera((-2, 0, 0), (0, 0, 0)), 0.018)
    behind = render_cloud(points, colors, camera((3, 0, 0), (0, 0, 0)), 0.018)
    assert front[30, 40, 2] > 200 and front[30, 40, 0] < 50
    assert behind[30, 40, 0] > 200 and behind[30, 40, 2] < 50


def test_discs_close_the_gaps_and_nothing_is_drawn_elsewhere() -> None:
    points = plate(0.0, 0.3)
    image = render_cloud(points, np.full((len(points), 3), 255, np.uint8), camera((-1, 0, 0), (0, 0, 0)), 0.018)
    assert image[20:40, 30:50].min() > 200
    assert (image[:5] == (20, 22, 26)).all()


def test_what_lies_behind_the_camera_or_nowhere_is_not_drawn() -> None:
    points = np.array([[-5, 0, 0], [np.nan, 0, 0], [0, np.inf, 0]], np.float32)
    with np.errstate(invalid="ignore"):
        image = render_cloud(points, np.full((3, 3), 255, np.uint8), camera((-2, 0, 0), (0, 0, 0)), 0.5)
    assert (image == (20, 22, 26)).all()


def test_edges_in_depth_are_dark() -> None:
    points = np.concatenate((plate(0.0, 0.15), plate(0.6, 0.6)))
    image = render_cloud(points, np.full((len(points), 3), 255, np.uint8), camera((-2, 0, 0), (0, 0, 0)), 0.018)
    assert image[30, 40].mean() > 240
    assert image[30, 33:36].min() < 200


def test_normals_of_a_plate_point_to_the_eye() -> None:
    points = plate(0.5, 0.4)
    shape = surface(points, np.tile([[-1.0, 0, 0]], (len(points), 1)))
    assert shape.flat.mean() > 0.95
    np.testing.assert_allclose(shape.normals[shape.flat], np.tile([-1, 0, 0], (shape.flat.sum(), 1)), atol=1e-3)


def test_every_point_lies_in_a_fitted_picture() -> None:
    points = np.random.default_rng(1).normal(size=(500, 3)).astype(np.float32) * (3, 1, 0.5)
    points = points.astype(np.float32) + np.float32(40)
    for direction in ([1.0, 0, -0.5], [-0.3, 0.7, -1.0]):
        fitted = fit_camera(points, np.array(direction), np.array([0.0, 0, 1]), (200, 300))
        T, K = fitted.T_world_cam.numpy(), fitted.K.numpy()
        local = (points - T[:3, 3]) @ T[:3, :3]
        u, v = (local[:, :2] / local[:, 2:] * (K[0, 0], K[1, 1]) + K[:2, 2]).T
        assert local[:, 2].min() > 0 and u.min() >= 0 and v.min() >= 0 and u.max() < 300 and v.max() < 200
        spread = max((u.max() - u.min()) / 300, (v.max() - v.min()) / 200)
        assert spread > 0.85  # and they fill it


def test_a_wall_is_cut_away_from_behind_only() -> None:
    """A floor with a wall at its end: seen from inside the wall stands, from outside one looks through it."""
    y, z = (a.ravel() for a in np.meshgrid(np.arange(-1, 1, 0.02), np.arange(0, 2, 0.02)))
    wall = np.stack((np.full(y.size, 2.0), y, z), 1)
    x, y = (a.ravel() for a in np.meshgrid(np.arange(-2, 2, 0.02), np.arange(-1, 1, 0.02)))
    points = np.concatenate((wall, np.stack((x, y, np.zeros(x.size)), 1))).astype(np.float32)
    shape = surface(points, np.tile([[0.0, 0, 1.5]], (len(points), 1)))
    room = RoomFrame(shape, np.eye(3), np.inf)
    stands = []
    for look in viewpoints(points, room, (100, 150)):
        outside = look.camera.T_world_cam[0, 3] > 2
        share = look.keep[: len(wall)].mean()
        stands.append(share > 0.9)
        assert share < 0.2 if outside else share > 0.9
        assert look.keep[len(wall):].mean() > 0.9
    assert True in stands and False in stands


def test_viewpoints_of_a_map_show_its_things_and_hide_what_hangs_above() -> None:
    scene = table_map()
    room = read_room(scene)
    assert room.axes[2] @ (0, 0, 1) > 0.999
    assert room.ceiling_m == pytest.approx(1.8, abs=0.01)
    looks = viewpoints(scene.points.numpy(), room, (90, 120))
    assert [look.name for look in looks] == ["From above", "Corner", "Next corner", "Opposite corner"]
    tops = (scene.points[:, 2] > 1.0).numpy()
    for look in looks:
        assert look.keep[tops].mean() > 0.5
    low = type(room)(room.surface, room.axes, 0.9)
    assert not viewpoints(scene.points.numpy(), low, (90, 120))[0].keep[tops].any()


def test_an_empty_map_has_no_sides() -> None:
    room = read_room(SceneMap())
    assert viewpoints(np.zeros((0, 3), np.float32), room, (60, 80)) == []
