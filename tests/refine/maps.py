"""Maps of one view, with instances where a test wants them."""

from __future__ import annotations

import torch

from seg3r.protocols import Refiner
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.types import Masks, Matches
from tests.loops import segments_of
from tests.worlds import table_scene, walk

VIEW = Sensor().view(walk(table_scene(), 8, (60, 80))[0][0])


def mapped(*spans: tuple[int, int], features: torch.Tensor | None = None) -> SceneMap:
    """Instances of rows 20..40 and these columns, each a frame younger than the one before."""
    scene = SceneMap()
    for i, (c0, c1) in enumerate(spans):
        mask = torch.zeros(1, 60, 80, dtype=torch.bool)
        mask[0, 20:40, c0:c1] = True
        segments = segments_of(VIEW, Masks(mask, torch.ones(1), None if features is None else features[i : i + 1]))
        scene.add(VIEW, segments, Matches(torch.tensor([-1]), torch.ones(1)))
    return scene


def add(scene: SceneMap, spans: list[tuple[int, int]], ids: list[int]) -> list[int]:
    """One more look at rows 36..56 and these columns, matched so; -1: a new instance. Returns the id of each."""
    masks = torch.zeros(len(spans), 60, 80, dtype=torch.bool)
    for mask, (c0, c1) in zip(masks, spans, strict=True):
        mask[36:56, c0:c1] = True
    segments = segments_of(VIEW, Masks(masks, torch.ones(len(spans))))
    return scene.add(VIEW, segments, Matches(torch.tensor(ids, dtype=torch.int64), torch.ones(len(ids)))).tolist()


def first(scene: SceneMap) -> int:
    """Id of the oldest instance."""
    return int(scene.ids[0])


def remaining(refine: Refiner, scene: SceneMap) -> list[int]:
    """Which instances are left when the map is refined, as positions in the order of ids before."""
    before = scene.ids.tolist()
    return [before.index(i) for i in refine(scene).ids.tolist()]
