"""A finished map of the tiny world, made with perfect masks."""

from __future__ import annotations

import dataclasses
from functools import cache

import torch

from seg3r.lift import Lift
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.types import Masks, Matches
from tests.worlds import table_scene, walk

HOSTILE = "../../x</script><img src=x onerror=alert(1)>&\"'\ud800\u202e"
SECONDS = {"segment": [0.02, 0.03, 0.02], "associate": [0.004, 0.005, 0.004], "refine": [0.5]}


@cache
def _mapped(frames: int, name: str) -> SceneMap:
    scene, reconstruct, lift = SceneMap(), Sensor(), Lift()
    known: dict[int, int] = {}
    for frame, truth in walk(table_scene(), frames, (120, 160)):
        view, ids = reconstruct.view(frame), [i for i in truth.unique().tolist() if i]
        masks = Masks(
            torch.stack([truth == i for i in ids]), torch.full((len(ids),), 0.9), names=tuple(str(i) for i in ids)
        )
        segments = lift(view, masks)
        ids = [int(i) for i in segments.names]  # too few pixels make no segment
        segments = dataclasses.replace(segments, names=tuple(name.format(i) for i in ids))
        matches = Matches(torch.tensor([known.get(i, -1) for i in ids]), torch.ones(len(ids)))
        known.update(zip(ids, scene.add(view, segments, matches).tolist(), strict=True))
    return scene


def table_map(frames: int = 8, name: str = "thing {}") -> SceneMap:
    """A copy, free to be changed. Its four instances are the table (truth id 2) and the boxes on it (3 to 5).

    Args:
        name: of each instance, with its truth id put in.
    """
    return _mapped(frames, name).copy()
