"""The walk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.rooms import Renderer, build_room, camera_path
from seg3r.rooms.path import between
from seg3r.types import check_camera

SEEDS = (0, 3, 8, 13, 21, 1_000_001)


def poses(seed: int, frames: int) -> np.ndarray:
    return np.stack([c.T_world_cam.numpy() for c in camera_path(build_room(seed), frames, seed)])


def turns(T: np.ndarray) -> np.ndarray:
    R = T[:, :3, :3]
    return np.degrees(np.arccos(np.clip((np.einsum("nij,nij->n", R[1:], R[:-1]) - 1) / 2, -1, 1)))


@pytest.mark.parametrize("seed", SEEDS)
def test_small_steps_through_the_room_and_back(seed: int) -> None:
    T = poses(seed, 60)
    steps = np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1)
    assert steps.max() <= 0.12 and turns(T).max() <= 8
    assert steps.sum() > 1.5
    assert ((T[:, 2, 3] > 1.2) & (T[:, 2, 3] < 1.7)).all()
    home = np.linalg.norm(T[:, :3, 3] - T[0, :3, 3], axis=1)
    assert home[40:].min() < 0.4 and home.max() > 0.4
    heading = np.unwrap(np.arctan2(T[:, 1, 2], T[:, 0, 2]))
    assert np.ptp(heading) > np.radians(270)
    assert (T[:, 2, 2] < 0.1).mean() > 0.9


def test_long_walks_begin_as_short_ones_and_stay_inside() -> None:
    T = poses(3, 500)
    np.testing.assert_array_equal(T[:60], poses(3, 60))
    size = build_room(3).size
    assert (T[:, 0, 3] > 0.3).all() and (T[:, 0, 3] < size[0] - 0.3).all()
    assert (T[:, 1, 3] > 0.3).all() and (T[:, 1, 3] < size[1] - 0.3).all()
    assert np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1).max() <= 0.12 and turns(T).max() <= 8
    home = np.linalg.norm(T[:, :3, 3] - T[0, :3, 3], axis=1) < 0.3
    assert np.diff(home.astype(int)).clip(0).sum() >= 3


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_keeps_its_distance(seed: int) -> None:
    renderer = Renderer(build_room(seed))
    for camera in camera_path(renderer.room, 60, seed, (30, 40))[::4]:
        depth, _ = renderer.depth_and_instances(camera)
        assert (depth > 0.25).all()


def test_cameras() -> None:
    cameras = camera_path(build_room(0), 5, 0, (120, 160))
    for camera in cameras:
        check_camera(camera, 1e-9)
        assert camera.size == (120, 160)
        fov = 2 * np.degrees(np.arctan(80 / float(camera.K[0, 0])))
        assert 60 <= fov <= 70
    wide = camera_path(build_room(0), 5, 0, (240, 320))[2].scaled((120, 160))
    torch.testing.assert_close(wide.K, cameras[2].K)
    middle = between(cameras[0], cameras[1], 0.5)
    check_camera(middle, 1e-9)


def test_no_walk() -> None:
    with pytest.raises(InputError, match="at least one frame"):
        camera_path(build_room(0), 0, 0)
