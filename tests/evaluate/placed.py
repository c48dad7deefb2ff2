"""The table, mapped with true masks and true geometry, and its surface; the same in a world moved and scaled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from seg3r.evaluate.placement import AssignmentLog
from seg3r.evaluate.run import predict
from seg3r.geometry import transform, unproject
from seg3r.lift import Lift
from seg3r.mapper import Mapper
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.reconstruct.sensor import Sensor
from seg3r.refine.chain import Chain
from seg3r.scene import SceneMap
from seg3r.types import Camera, Frame
from tests.loops import Walked, mapper_of
from tests.worlds import table_scene, walk

SIZE = (90, 120)
WALKED = walk(table_scene(), 12, SIZE)


def mapper_at(walked: Walked, scale: float = 1.0) -> Mapper:
    """All thresholds grow with the world: the same map at any scale."""
    lift = Lift(denoise=False, near_m=0.1 * scale, far_m=8 * scale)
    mapper = mapper_of(walked, lift=lift, refine=Chain(()), scene=SceneMap(0.025 * scale, 0.05 * scale))
    mapper.reconstruct = Sensor(0.1 * scale, 8 * scale)
    return mapper


def mapped(walked: Walked, scale: float = 1.0) -> tuple[Mapper, AssignmentLog]:
    mapper, log = mapper_at(walked, scale), AssignmentLog()
    mapper.observers.append(log)
    for frame, _ in walked:
        mapper.step(frame)
    return mapper, log


MAPPER, LOG = mapped(WALKED)
SCENE = MAPPER.refined()


def true(frame_index: int) -> tuple[torch.Tensor, Camera]:
    frame = WALKED[frame_index][0]
    assert frame.camera is not None and frame.depth is not None
    return frame.depth, frame.camera


def camera(frame_index: int) -> Camera:
    return true(frame_index)[1]


def surface() -> tuple[np.ndarray, np.ndarray]:
    """Points on things, and which thing each is on."""
    points, ids = [], []
    for frame, truth in WALKED[::3]:
        depth, seen = true(frame.index)
        world = transform(seen.T_world_cam.float(), unproject(depth, seen.K.float()))
        points.append(world[depth > 0][::3].numpy())
        ids.append(truth[depth > 0][::3].numpy())
    return np.concatenate(points), np.concatenate(ids)


VERTICES, THINGS = surface()
ORDINARY = predict(SCENE, VERTICES, 0.04)


def ious(a: ScenePrediction, b: ScenePrediction) -> list[float]:
    """Of each of a's instances with b's."""
    pairs = zip(a.lists(), b.lists(), strict=True)
    return [len(np.intersect1d(x, y)) / max(len(np.union1d(x, y)), 1) for x, y in pairs]


def moved(scale: float, seed: int = 0) -> list[tuple[Frame, torch.Tensor]]:
    """The recording in a world turned, shifted and scaled at random."""
    rng = np.random.default_rng(seed)
    R, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    R, t = torch.from_numpy(R * np.sign(np.linalg.det(R))), torch.from_numpy(rng.normal(size=3) * 5)
    out = []
    for frame, ids in WALKED:
        depth, seen = true(frame.index)
        T = seen.T_world_cam.clone()
        T[:3, :3], T[:3, 3] = R @ T[:3, :3], scale * (R @ T[:3, 3]) + t
        out.append((replace(frame, depth=depth * scale, camera=replace(seen, T_world_cam=T)), ids))
    return out
