"""Up, and along the walls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.geometry import look_at
from seg3r.scene.upright import room_axes, upright_axes, wall_direction
from tests.maps import table_map


def test_up_is_up_and_the_axes_are_square() -> None:
    axes = upright_axes(table_map())
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert axes[2, 2] > 0.99


def test_up_and_walls_are_found_in_a_tilted_world() -> None:
    rng = np.random.default_rng(3)
    floor = np.stack((rng.uniform(-2, 2, 20000), rng.uniform(-1, 1, 20000), np.zeros(20000)), 1)
    wall = np.stack((np.full(20000, 2.0), rng.uniform(-1, 1, 20000), rng.uniform(0, 2, 20000)), 1)
    R = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    R *= np.sign(np.linalg.det(R))
    eye = R @ (0, 0, 1.5)
    points = (np.concatenate((floor, wall)) @ R.T).astype(np.float32)
    # A camera that looks down by 30 degrees: its own up leans as much.
    lean = R @ (0.5, 0, 0.866)
    aim = eye + np.cross(lean, R @ (0, 1.0, 0))
    pose = look_at(torch.from_numpy(eye), torch.from_numpy(aim), torch.from_numpy(lean))
    normals = np.repeat([R[:, 2], -R[:, 0]], 20000, axis=0)
    axes = room_axes(points, pose.numpy()[None], normals)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-6)
    assert axes[2] @ R[:, 2] > 0.999
    assert max(abs(axes[0] @ R[:, 0]), abs(axes[1] @ R[:, 0])) > 0.999


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 89])
def test_the_walls_give_the_axes(degrees: float) -> None:
    rng, angle = np.random.default_rng(0), np.radians(degrees)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    u, side = rng.uniform(-0.5, 0.5, 4000), rng.choice([-0.5, 0.5], 4000)
    walls = np.concatenate((np.outer(5 * u, along) + np.outer(3 * side, across),
                            np.outer(5 * side, along) + np.outer(3 * u, across)))
    clutter = rng.uniform(-1, 1, (2000, 2))
    assert abs(wall_direction(np.concatenate((walls, clutter)) + 7) @ along) > np.cos(np.radians(1.5))
