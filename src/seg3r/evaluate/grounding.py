"""Tasks in words on a data set: which elements of the scene would one touch for it? (SceneFun3D, task 2.)

Two measures, for the literature holds both. The benchmark's own pools the instances named for all descriptions into one
AP, each description a scene. The other takes all that was named for a description as one mask against all that was
meant: its IoU, and the share of descriptions for which IoU or precision reaches a half or a quarter. What Fun3DU's
published evaluation calls AP50 and AP25 are those shares of *precision*, on the cropped scan; ours counts all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from seg3r.datasets.catalogue import dataset_called
from seg3r.datasets.scenefun3d import SCENEFUN3D_QUERIES, read_queries
from seg3r.errors import InputError
from seg3r.evaluate.answers import named_things
from seg3r.evaluate.datasets import Frames, chosen_scenes
from seg3r.evaluate.run import REACH, follow, predict
from seg3r.mapper import Mapper
from seg3r.metrics.instance_ap import Result, ScenePrediction, evaluate_tables, overlap_table
from seg3r.metrics.protocol import EXCLUDED_ID
from seg3r.metrics.referring import OneMask, one_mask, share_reaching
from seg3r.metrics.transfer import nearest_points
from seg3r.scene import SceneMap
from seg3r.types import Answer

DATASET = "scenefun3d"


@dataclass(frozen=True, eq=False)
class GroundingResult:
    """What answers to descriptions scored."""

    ranked: Result
    """The benchmark's AP; a scene is VISIT_DESCRIPTION."""
    constant: Result
    """The same with every confidence 1."""
    masks: Mapping[str, OneMask]
    """All that was named for each, as one mask."""
    texts: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def as_one_mask(self) -> dict[str, float]:
        """Means over the descriptions."""
        each = list(self.masks.values())
        return {
            "mIoU": share_reaching([m.iou for m in each]),
            **{f"IoU{int(100 * t)}": share_reaching([m.iou for m in each], t) for t in (0.5, 0.25)},
            **{f"precision{int(100 * t)}": share_reaching([m.precision for m in each], t) for t in (0.5, 0.25)},
        }

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file, NaN as null."""
        return {
            **self.ranked.as_json(settings=self.settings),
            "constant": self.constant.overall.as_json(),
            "as_one_mask": {name: round(value, 4) for name, value in self.as_one_mask.items()},
            "descriptions": {
                name: {"text": self.texts[name], "IoU": round(m.iou, 4), "precision": round(m.precision, 4)}
                for name, m in self.masks.items()
            },
        }

    def lines(self) -> list[str]:
        """For a terminal, in per cent."""
        rows = [f"{DATASET}, task 2: {len(self.masks)} descriptions"]
        for name, result in (("ranked", self.ranked), ("constant", self.constant)):
            values = zip(("AP", "AP50", "AP25"), result.overall, strict=True)
            rows.append(f"instances, {name}: " + ", ".join(f"{n} {100 * v:.1f}" for n, v in values))
        shares = ", ".join(f"{name} {100 * value:.1f}" for name, value in self.as_one_mask.items())
        return [*rows, f"as one mask: {shares}"]


def evaluate_grounding(
    folder: Path,
    open_frames: Callable[[Path, int], Frames],
    make_mapper: Callable[[Frames], Mapper],
    answer: Callable[[SceneMap, str], Answer],
    *,
    name: Callable[[SceneMap], object] | None = None,
    scenes: Sequence[str] | None = None,
    every: int | None = None,
    reach: float = REACH,
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> GroundingResult:
    """Map every visit, and put each of its descriptions to the map.

    Args:
        folder: SceneFun3D.
        open_frames: a video's folder and the stride -> its frames.
        make_mapper: a fresh mapper for them.
        answer: a map and a description -> instances, best first; or, of one that names none, a mask of points.
        name: names the instances of a finished map first, in place.
        scenes: visits; None: all with annotations.
        every: stride over the frames; None: the usual one.
        reach: a point of the scan belongs to what owns the nearest map point within so many voxels.
        settings: of the method.
        progress: called with (visit, visits done, visits) after each.

    Raises:
        InputError: no visit, one that is not there, or one whose frames, descriptions or annotations cannot be read.
    """
    dataset = dataset_called(DATASET)
    visits = chosen_scenes(dataset, folder, scenes)
    stride = dataset.every if every is None else every
    tables, masks, texts = [], dict[str, OneMask](), dict[str, str]()
    for done, visit in enumerate(visits, 1):
        vertices, queries = read_queries(folder / visit)
        frames = open_frames(dataset.recording(folder, visit), stride)
        scene = follow(make_mapper(frames), frames)
        if name is not None:
            name(scene)
        instances = predict(scene, vertices, reach * scene.voxel_m).lists()
        nearest = nearest_points(scene.points.numpy(), scene.from_origin(vertices), reach * scene.voxel_m)
        for query in queries:
            answered = answer(scene, query.text)
            lists, scores = named_things(scene, answered, instances, nearest)
            key = f"{visit}_{query.name}"
            tables.append(overlap_table(query.ids, _prediction(lists, scores, len(vertices)), SCENEFUN3D_QUERIES))
            masks[key], texts[key] = _as_one_mask(lists, query.ids), query.text
        if progress is not None:
            progress(visit, done, len(visits))
    if not tables:
        raise InputError(f"{folder}: {len(visits)} visits without a description; fetch the asset descriptions")
    identity = {
        "dataset": DATASET, "task": 2, "every": stride, "reach_voxels": reach, **(settings or {}), "visits": visits,
    }
    ranked, constant = (
        evaluate_tables(tables, list(masks), SCENEFUN3D_QUERIES, scores=scores) for scores in ("ranked", "constant")
    )
    return GroundingResult(ranked, constant, masks, texts, identity)


def _prediction(
    lists: Sequence[Int64[np.ndarray, "..."]], scores: Iterable[float], count: int
) -> ScenePrediction:
    confidence = np.asarray(list(scores), np.float64)
    return ScenePrediction.from_lists(lists, count, np.ones(len(lists), np.int64), confidence)


def _as_one_mask(lists: Sequence[Int64[np.ndarray, "..."]], ids: Int64[np.ndarray, "v"]) -> OneMask:
    named = np.zeros(len(ids), np.bool_)
    for points in lists:
        named[points] = True
    counted = ids != EXCLUDED_ID
    return one_mask(named[counted], ids[counted] > 0)
