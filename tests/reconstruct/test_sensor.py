"""Depth and pose as given."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from seg3r.errors import InputError
from seg3r.geometry import invert, project, rigid, transform, unproject
from seg3r.reconstruct.sensor import Sensor
from tests.worlds import table_scene, walk

FRAME = walk(table_scene(), 3, (30, 40))[1][0]


def test_points_project_back_to_their_pixels_and_depth() -> None:
    view = Sensor().view(FRAME)
    uv, z = project(transform(invert(view.camera.T_world_cam), view.points.double()), view.camera.K)
    rows, columns = torch.meshgrid(torch.arange(30), torch.arange(40), indexing="ij")
    seen = view.depth > 0
    expected = torch.stack((columns, rows), -1).double()[seen]
    assert torch.allclose(uv[seen], expected, atol=1e-3)
    assert torch.allclose(z[seen], view.depth.double()[seen], atol=1e-5)


def test_a_motion_of_the_camera_moves_the_points() -> None:
    T = rigid(torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).double(), torch.tensor([1.0, 2, 3]).double())
    assert FRAME.camera is not None
    camera = dataclasses.replace(FRAME.camera, T_world_cam=T @ FRAME.camera.T_world_cam)
    view, shifted = Sensor().view(FRAME), Sensor().view(dataclasses.replace(FRAME, camera=camera))
    assert torch.allclose(transform(T, view.points), shifted.points, atol=1e-5)
    assert torch.equal(view.depth, shifted.depth)


def test_only_depth_in_range_is_trusted() -> None:
    depth = torch.zeros(30, 40)
    depth[0, :7] = torch.tensor([0.05, 0.1, 8.0, 8.1, float("nan"), float("inf"), -1.0])
    view = Sensor().view(dataclasses.replace(FRAME, depth=depth))
    assert view.confidence[0, :7].tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert bool(torch.isfinite(view.depth).all())
    assert bool(torch.isfinite(view.points).all())
    assert (view.depth[0, [0, 3, 4, 5, 6]] == 0).all(), "out of range is not measured"


def test_rays_of_the_world_carry_depth_to_points() -> None:
    camera = FRAME.camera
    assert camera is not None
    assert FRAME.depth is not None
    expected = transform(camera.T_world_cam, unproject(FRAME.depth.double(), camera.K))
    assert torch.allclose(Sensor().view(FRAME).points.double(), expected, atol=1e-5)


@pytest.mark.parametrize(("field", "says"), [("depth", "depth"), ("camera", "pose")])
def test_what_is_missing_is_named(field: str, says: str) -> None:
    with pytest.raises(InputError, match=f"frame 1 has no {says}; this method needs posed RGB-D"):
        Sensor().view(dataclasses.replace(FRAME, **{field: None}))
