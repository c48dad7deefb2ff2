"""A method on recordings with truth: how good is its map, at the end and on the way?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64

from seg3r.evaluate.benchmarks import Protocol
from seg3r.evaluate.instance_ap import Result, ScenePrediction, evaluate_scenes, overlap_table
from seg3r.evaluate.quality import Quality, quality
from seg3r.evaluate.transfer import transfer
from seg3r.mapper import Mapper
from seg3r.scene import SceneMap
from seg3r.score import scores
from seg3r.types import Frame

REACH = 1.5
"""A vertex belongs to what owns the nearest map point within so many voxels (specification, D-12)."""
MARGIN = 0.25
"""An owned point decides although one that nobody owns is nearer by up to so many voxels."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The labelled surface of a scene, as far as the recording shows it."""

    vertices: Float[np.ndarray, "v 3"]
    """In world, metres; in double precision where they were read so."""
    ids: Int64[np.ndarray, "v"]
    """label * 1000 + instance, 0 = unannotated."""


def predict(
    scene: SceneMap,
    vertices: Float[np.ndarray, "v 3"],
    max_dist_m: float,
    labels: Sequence[int] | None = None,
    certainty: Sequence[float] | None = None,
) -> ScenePrediction:
    """A map's instances on the vertices of the truth. Without labels every instance gets label 1.

    Args:
        vertices: in the world of the map's recording.
        labels: of each instance.
        certainty: of each label, in 0..1: the fourth factor of the score, (s^3 p)^(1/4) (OpenTrack3D specification,
            3.11).
    """
    owners = scene.owners.numpy()
    share = scene.hits.numpy() / np.maximum(scene.views.numpy(), 1)
    margin_m = MARGIN * scene.voxel_m
    local = scene.from_origin(vertices)
    lists = transfer(scene.points.numpy(), owners, local, max_dist_m, len(scene), share, margin_m)
    given = np.ones(len(scene), np.int64) if labels is None else np.asarray(labels, np.int64)
    confidence = scores(scene).numpy().astype(np.float64)
    if certainty is not None:
        confidence = (confidence**3 * np.asarray(certainty, np.float64)) ** 0.25
    return ScenePrediction.from_lists(lists, len(vertices), given, confidence)


def follow(
    mapper: Mapper, frames: Iterable[Frame], truth: Truth, every: int, max_dist_m: float
) -> dict[int, ScenePrediction]:
    """Map a recording; what the refined map says after every k-th frame and after the last, by the count of frames.

    `every` = 0: only after the last.
    """
    said: dict[int, ScenePrediction] = {}
    for count, _ in enumerate(mapper.run(frames), 1):
        if every and count % every == 0:
            said[count] = predict(mapper.result(), truth.vertices, max_dist_m)
    said[mapper.scene.frames] = predict(mapper.result(), truth.vertices, max_dist_m)
    return said


def score_runs(
    names: Sequence[str], truths: Sequence[Truth], runs: Sequence[dict[int, ScenePrediction]], protocol: Protocol,
    class_agnostic: bool, scores_as: Literal["ranked", "constant"],
) -> tuple[Result, list[tuple[int, float]], Quality]:
    """The final result over all recordings, the online curve (AP of all maps after t frames, against all the truth that
    the whole recordings show), and purity and completeness of the final maps."""
    gt = [truth.ids for truth in truths]
    final = [run[max(run)] for run in runs]
    result = evaluate_scenes(gt, final, protocol, class_agnostic, scores_as, names)
    steps = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    curve = [
        (t, evaluate_scenes(gt, [run[t] for run in runs], protocol, class_agnostic, scores_as).overall.ap)
        for t in steps
    ]
    tables = [overlap_table(ids, said, protocol, True) for ids, said in zip(gt, final, strict=True)]
    return result, curve, mean_quality([quality(t.shared, t.sizes, t.gt_sizes) for t in tables])


def mean_quality(each: Sequence[Quality]) -> Quality:
    """Each number's mean over the recordings that have a value."""

    def mean(values: Sequence[float]) -> float:
        known = [v for v in values if not math.isnan(v)]
        return sum(known) / len(known) if known else math.nan

    return Quality(
        mean([q.purity for q in each]), mean([q.completeness for q in each]), mean([q.fragments for q in each])
    )
