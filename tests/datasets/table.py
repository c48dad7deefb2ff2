"""The tiny world as the scan of a data set."""

from __future__ import annotations

import numpy as np

from seg3r.geometry import transform, unproject
from tests.worlds import table_scene, walk

WALKED = walk(table_scene(), 8, (120, 160))
SCENES = ("scene0011_00", "scene0015_00")


def surface() -> tuple[np.ndarray, np.ndarray]:
    """Points of two views, and the truth id of each."""
    points, ids = [], []
    for frame, truth in (WALKED[0], WALKED[3]):
        assert frame.depth is not None and frame.camera is not None
        seen = frame.depth > 0
        world = transform(frame.camera.T_world_cam, unproject(frame.depth, frame.camera.K)[seen])
        points.append(world.numpy())
        ids.append(truth[seen].numpy())
    return np.concatenate(points), np.concatenate(ids)
