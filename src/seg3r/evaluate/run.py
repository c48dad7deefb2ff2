"""The loop: a method maps a recording, and its instances are placed on the truth; at the end, and on the way.

Whatever is measured here (rooms, one camera, questions, data sets, tasks) maps by `follow`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from seg3r.choices import ScoresAs
from seg3r.datasets.truth import Truth
from seg3r.mapper import Mapper
from seg3r.metrics.conventions import labelled_confidence
from seg3r.metrics.instance_ap import Result, ScenePrediction, evaluate_scenes, overlap_table
from seg3r.metrics.protocol import Protocol
from seg3r.metrics.quality import Quality, quality
from seg3r.metrics.transfer import transfer
from seg3r.scene import SceneMap
from seg3r.scene.content import RIM
from seg3r.types import Frame

REACH = 1.5
"""A vertex belongs to what owns the nearest map point within so many voxels (docs/opentrack3d.md, D-12)."""
CURVE_EVERY = 10
"""Frames between two points of the online curve."""

Progress = Callable[[int, int], None]
"""Called with (done, instances so far)."""


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
        certainty: of each label, in 0..1: the fourth factor of the score, (s^3 p)^(1/4) (docs/opentrack3d.md, 3.11).
    """
    best, local = scene.best_owners.numpy(), scene.from_origin(vertices)
    owned = np.flatnonzero(best >= 0)
    owners = np.stack((best[owned], owned), axis=1)  # one a point, as everywhere a map is shown or written
    lists = transfer(
        scene.points.numpy(), owners, local, max_dist_m, instance_count=len(scene), margin_m=RIM * scene.voxel_m
    )
    given = np.ones(len(scene), np.int64) if labels is None else np.asarray(labels, np.int64)
    confidence = scene.scores.numpy().astype(np.float64)
    if certainty is not None:
        confidence = labelled_confidence(confidence, np.asarray(certainty, np.float64))
    return ScenePrediction.from_lists(lists, len(vertices), given, confidence)


def follow(
    mapper: Mapper, frames: Iterable[Frame], every: int = 0, visit: Callable[[int, SceneMap], None] | None = None
) -> SceneMap:
    """Map a recording; returns the finished, refined map.

    Args:
        every: frames between two visits on the way; 0: none.
        visit: called with the frames so far and the refined map so far.
    """
    with mapper:
        for count, frame in enumerate(frames, 1):
            mapper.step(frame)
            if visit is not None and every and count % every == 0:
                visit(count, mapper.refined())
    return mapper.refined()


@dataclass(frozen=True, eq=False)
class MappedRecording:
    """What a map says of the truth of its recording."""

    name: str
    truth: Truth
    predictions: Mapping[int, ScenePrediction]
    """Views so far -> instances on the vertices of the truth."""
    seconds: Mapping[str, Sequence[float]]
    """Of each call of each stage."""

    @property
    def final(self) -> ScenePrediction:
        """Of the finished map."""
        return self.predictions[max(self.predictions)]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Instance AP of maps, the online curve, and how clean and whole instances are."""

    result: Result
    curve: Sequence[tuple[int, float]]
    """(views, AP) of all maps after so many, against all the truth that the whole recordings show."""
    quality: Quality
    """Of the finished maps, mean."""
    median_ms: Mapping[str, float]
    """Of a call of each stage."""
    settings: Mapping[str, Any]
    constant: Result | None = None
    """With all confidences one."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        answer = self.result.as_json(self.curve, dict(self.settings))
        if self.constant is not None:
            answer["constant"] = {
                name: None if value is None else round(value, 4)
                for name, value in self.constant.overall.as_json().items()
            }
        answer["purity"], answer["completeness"] = round(self.quality.purity, 4), round(self.quality.completeness, 4)
        if self.median_ms:
            answer["median_ms"] = dict(self.median_ms)
        return answer


def evaluate_maps(
    mapped: Sequence[MappedRecording], protocol: Protocol, class_agnostic: bool, settings: Mapping[str, Any],
    scores_as: ScoresAs = "ranked", constant_too: bool = False,
) -> Evaluation:
    """Score the maps of all recordings together.

    Args:
        constant_too: also with all confidences one, as OnlineAnySeg's tables have it.
    """
    names, gt = [m.name for m in mapped], [m.truth.ids for m in mapped]
    final = [m.final for m in mapped]
    result = evaluate_scenes(gt, final, protocol, class_agnostic, scores_as, names)
    steps = sorted(set.intersection(*(set(m.predictions) for m in mapped))) if mapped else []
    curve = [
        (t, evaluate_scenes(gt, [m.predictions[t] for m in mapped], protocol, class_agnostic, scores_as).overall.ap)
        for t in steps
    ]
    tables = [overlap_table(ids, each, protocol, True) for ids, each in zip(gt, final, strict=True)]
    constant = evaluate_scenes(gt, final, protocol, class_agnostic, "constant", names) if constant_too else None
    stages = mapped[0].seconds if mapped else {}
    median_ms = {
        stage: round(1e3 * float(np.median(took)), 3)
        for stage in stages if len(took := np.concatenate([np.asarray(m.seconds[stage]) for m in mapped]))
    }
    return Evaluation(
        result, curve, mean_quality([quality(t.shared, t.sizes, t.gt_sizes) for t in tables]), median_ms, settings,
        constant,
    )


def mean_quality(each: Sequence[Quality]) -> Quality:
    """Each number's mean over the recordings that have a value."""

    def mean(values: Sequence[float]) -> float:
        known = [v for v in values if not math.isnan(v)]
        return sum(known) / len(known) if known else math.nan

    return Quality(
        mean([q.purity for q in each]), mean([q.completeness for q in each]), mean([q.fragments for q in each])
    )
