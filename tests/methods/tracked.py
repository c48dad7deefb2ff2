"""The table, tracked with true masks."""

from __future__ import annotations

import torch

from seg3r.methods.opentrack3d import opentrack3d
from seg3r.scene import SceneMap
from seg3r.types import Masks, View
from tests.worlds import table_scene, walk

WALK = walk(table_scene(), 8, (60, 80))
TRUTH = {frame.index: ids for frame, ids in WALK}


def perfect(view: View) -> Masks:
    ids = TRUTH[view.frame.index]
    masks = torch.stack([ids == i for i in ids.unique() if i > 0])
    return Masks(masks, torch.ones(len(masks)))


def mapped(**parts: object) -> SceneMap:
    mapper = opentrack3d(segment=perfect, **parts)  # type: ignore[arg-type]
    for frame, _ in WALK:
        mapper.step(frame)
    return mapper.refined()
