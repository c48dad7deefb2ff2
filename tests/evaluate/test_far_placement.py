"""Both placements of a map whose recording lies far from its world's origin, on a truth there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.evaluate.placement import AssignmentLog, aligned, unprojected
from seg3r.evaluate.run import predict
from seg3r.geometry import rounded_pose, transform, unproject
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.scene import SceneMap
from seg3r.types import Camera
from tests.loops import mapper_of, moved
from tests.worlds import table_scene, walk

SHIFT = torch.tensor([5e5, 5.4e6, 100.0], dtype=torch.float64)
WALKED = [
    (frame, ids) for frame, ids in walk(table_scene(), 8, (90, 120)) if frame.camera is not None
]


def placements(far: bool) -> tuple[SceneMap, ScenePrediction, ScenePrediction, ScenePrediction]:
    """The map; its instances on the surface of its world by place, by what each view said, and after alignment."""
    T = torch.eye(4, dtype=torch.float64)
    T[:3, 3] = SHIFT * far
    rounded = moved(WALKED, torch.eye(4, dtype=torch.float64))
    for frame, _ in rounded:
        assert frame.camera is not None
        frame.camera.T_world_cam[:] = rounded_pose(frame.camera.T_world_cam)
    walked = moved(rounded, T)
    mapper, log = mapper_of(walked), AssignmentLog()
    mapper.observers.append(log)
    known = {frame.index: (frame.depth, frame.camera) for frame, _ in walked}
    for frame, _ in walked:
        mapper.step(frame)
    scene = mapper.refined()
    points = []
    for frame, _ in rounded[::3]:
        assert frame.depth is not None and frame.camera is not None
        world = transform(frame.camera.T_world_cam, unproject(frame.depth, frame.camera.K).double())
        points.append(world[frame.depth > 0][::3])
    vertices = (torch.cat(points).float().double() + SHIFT * far).numpy()

    def camera(index: int) -> Camera:
        found = known[index][1]
        assert found is not None
        return found

    by_views = unprojected(scene, log.views, lambda index: (known[index][0], camera(index)), vertices)  # type: ignore[arg-type, return-value]
    after, similarity = aligned(scene, log.views, camera, vertices)
    assert similarity.scale == pytest.approx(1, abs=1e-9)
    assert np.abs(similarity.R - np.eye(3)).max() < 1e-9
    back = similarity.R @ (SHIFT * far).numpy() + similarity.t - (SHIFT * far).numpy()
    assert np.abs(back).max() < 1e-6, "the map lies where it lies"
    return scene, predict(scene, vertices, 0.04), by_views, after


def test_placed_alike_near_and_far() -> None:
    near, *here = placements(far=False)
    far, *there = placements(far=True)
    assert far.origin.tolist() == SHIFT.tolist() and len(near) == len(far) == 4
    for one, other in zip(here, there, strict=True):
        assert min(len(own) for own in one.lists()) > 20
        for mine, theirs in zip(one.lists(), other.lists(), strict=True):
            assert len(np.setxor1d(mine, theirs)) <= 0.01 * len(mine)
