"""Average precision of 3D instances, as in the ScanNet benchmark.

Two layers: `average_precision` on tables of overlaps, `evaluate_scenes` on vertices. The rules (see docs/evaluation.md)
are those of the benchmark's script, including its trapezium over one point per distinct score: with one score for all,
AP = recall * (1 + precision) / 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from seg3r.choices import ScoresAs
from seg3r.errors import InputError, check_choice
from seg3r.kernels.instance_ap import integrate, match_scene
from seg3r.metrics.protocol import Protocol

THRESHOLDS = np.append(np.arange(0.5, 0.95, 0.05), 0.25)
"""Nine overlaps 0.5 ... 0.9 whose mean is AP (0.95 is not among them), then 0.25."""

LARGEST_ID = 100_000_000


@dataclass(frozen=True, eq=False)
class ScenePrediction:
    """Predicted instances of one scene. Masks may overlap; their order is that of the lines of a prediction file."""

    vertices: Int64[np.ndarray, "v"]
    """The masks one after the other, each as ascending vertex indices."""
    starts: Int64[np.ndarray, "bounds"]
    """p + 1 numbers: mask i is vertices[starts[i]:starts[i + 1]]."""
    vertex_count: int
    """Of the scene."""
    labels: Int64[np.ndarray, "p"]
    scores: Float64[np.ndarray, "p"]

    def __post_init__(self) -> None:
        count = len(self.starts) - 1
        if len(self.labels) != count or len(self.scores) != count:
            raise InputError(
                f"prediction: {count} masks need as many labels and scores, got {len(self.labels)}, {len(self.scores)}"
            )
        if np.isnan(self.scores).any():
            raise InputError(f"prediction: the score of instance {int(np.isnan(self.scores).argmax())} is NaN")
        if len(self.vertices) and not 0 <= self.vertices.min() <= self.vertices.max() < self.vertex_count:
            raise InputError(f"prediction: vertex indices must lie in 0..{self.vertex_count - 1}")

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def from_masks(
        cls, masks: Bool[np.ndarray, "p n"], labels: Int[np.ndarray, "p"], scores: Float[np.ndarray, "p"]
    ) -> ScenePrediction:
        """From one bool per mask and vertex."""
        counts = np.count_nonzero(masks, axis=1)
        vertices = np.flatnonzero(masks) - np.repeat(np.arange(len(masks)) * masks.shape[1], counts)
        return cls(vertices, _starts(counts), masks.shape[1], labels.astype(np.int64), scores.astype(np.float64))

    @classmethod
    def from_lists(
        cls,
        lists: Sequence[Int[np.ndarray, "..."]],
        vertex_count: int,
        labels: Int[np.ndarray, "p"],
        scores: Float[np.ndarray, "p"],
    ) -> ScenePrediction:
        """From one list of vertex indices per mask, in any order; repeated ones count once."""
        ordered = [np.asarray(one, np.int64) for one in lists]
        ordered = [one if (np.diff(one) > 0).all() else np.unique(one) for one in ordered]
        vertices = np.concatenate([np.empty(0, np.int64), *ordered])
        counts = np.array([len(one) for one in ordered], np.int64)
        return cls(vertices, _starts(counts), vertex_count, labels.astype(np.int64), scores.astype(np.float64))

    def lists(self) -> list[Int64[np.ndarray, "..."]]:
        """The vertex indices of each mask."""
        return np.split(self.vertices, self.starts[1:-1]) if len(self) else []


@dataclass(frozen=True, eq=False)
class OverlapTable:
    """What is left of a scene once its vertices are counted. Classes are positions in the protocol's list."""

    gt_classes: Int64[np.ndarray, "g"]
    gt_sizes: Int64[np.ndarray, "g"]
    """Vertices."""
    classes: Int64[np.ndarray, "p"]
    sizes: Int64[np.ndarray, "p"]
    scores: Float64[np.ndarray, "p"]
    void: Int64[np.ndarray, "p"]
    """Vertices of each prediction that belong to no ground-truth instance and are forgiven; 0 where none are."""
    shared: Int64[np.ndarray, "p g"]
    """Vertices in common."""


class APs(NamedTuple):
    """The three numbers; NaN where there is no target."""

    ap: float
    ap50: float
    ap25: float

    def as_json(self) -> dict[str, float | None]:
        return {name: _number(value) for name, value in zip(("AP", "AP50", "AP25"), self, strict=True)}


class Curves(NamedTuple):
    """Per class and threshold; NaN where a class has no target."""

    ap: Float64[np.ndarray, "c t"]
    precision: Float64[np.ndarray, "c t"]
    """With all predictions kept."""
    recall: Float64[np.ndarray, "c t"]
    """With all predictions kept."""

    def means(self) -> APs:
        """Over classes that have targets."""
        return APs(_mean(self.ap[:, :-1].mean(axis=1)), _mean(self.ap[:, 0]), _mean(self.ap[:, -1]))


@dataclass(frozen=True, eq=False)
class Result:
    """AP over all scenes pooled. The mean of the scenes' own APs is another number."""

    overall: APs
    per_class: Mapping[str, APs]
    """Every class of the protocol."""
    per_scene: Mapping[str, APs]
    curves: Curves
    """Rows in the order of `per_class`, columns in that of `THRESHOLDS`."""
    settings: Mapping[str, str | int | bool]
    """The conventions behind the numbers."""

    def as_json(
        self, online: Sequence[tuple[int, float]] = (), settings: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Plain values for a JSON file, NaN as null.

        Args:
            online: (frame, AP of the map after that frame).
            settings: of the run, beside the evaluator's own.
        """
        return {
            **self.overall.as_json(),
            "per_class": {name: aps.as_json() for name, aps in self.per_class.items()},
            "per_scene": {name: aps.as_json() for name, aps in self.per_scene.items()},
            "online": [{"frame": frame, "AP": _number(ap)} for frame, ap in online],
            "settings": {**self.settings, **(settings or {})},
        }


def overlap_table(
    gt_ids: Int[np.ndarray, "n"], prediction: ScenePrediction, protocol: Protocol, class_agnostic: bool = False
) -> OverlapTable:
    """Count the vertices of one scene.

    Args:
        gt_ids: label * 1000 + instance of every vertex; a label outside the protocol is void.
        prediction: on the same vertices; instances whose label is outside the protocol are left out.
        protocol: the classes.
        class_agnostic: one class for all ground truth and all predictions, whatever their labels.
    """
    if len(gt_ids) != prediction.vertex_count:
        raise InputError(f"masks are over {prediction.vertex_count} vertices, the ground truth over {len(gt_ids)}")
    if len(gt_ids) and gt_ids.max() >= LARGEST_ID:
        raise InputError(f"ground-truth id {gt_ids.max()} is not label * 1000 + instance")
    counted = np.ones(len(gt_ids), np.bool_) if protocol.excluded_id is None else gt_ids != protocol.excluded_id
    ids = np.maximum(gt_ids, 0)
    counts = np.bincount(ids[counted])
    present = np.flatnonzero(counts)
    gt_classes = _class_of(present // 1000, protocol)
    present, gt_classes = present[gt_classes >= 0], gt_classes[gt_classes >= 0]
    classes = _class_of(prediction.labels, protocol)
    if class_agnostic:
        # The benchmark's remapping keeps the instance number only, and that is what orders the instances.
        present = present[np.lexsort((present, present % 1000))]
        gt_classes, classes = np.zeros_like(present), np.zeros_like(classes)

    g, p, of_class = len(present), len(prediction), classes >= 0
    row_of = np.full(len(counts), g, np.int32)
    row_of[present] = np.arange(g)
    inside = counted[prediction.vertices]
    owners = np.repeat(np.arange(p), np.diff(prediction.starts))[inside]
    rows = row_of[ids[prediction.vertices[inside]]]
    shared = np.bincount(owners * (g + 1) + rows, minlength=p * (g + 1)).reshape(p, g + 1)[of_class]
    void = shared[:, g] if protocol.void == "ignored" else np.zeros(len(shared), np.int64)
    return OverlapTable(
        gt_classes, counts[present], classes[of_class], shared.sum(axis=1), prediction.scores[of_class],
        np.ascontiguousarray(void), np.ascontiguousarray(shared[:, :g]),
    )


def average_precision(
    tables: Sequence[OverlapTable], class_count: int, min_region: int, scores: ScoresAs = "ranked"
) -> tuple[Curves, list[Curves]]:
    """Average precision of all scenes pooled, and of each scene alone.

    Args:
        tables: one per scene.
        class_count: of the protocol.
        min_region: vertices; smaller predictions are dropped, smaller instances are no targets and hide predictions.
        scores: `constant` sets every score to 1, as part of the literature does.
    """
    check_choice("scores", scores, get_args(ScoresAs))
    if not tables:
        nothing = np.full((class_count, len(THRESHOLDS)), np.nan)
        return Curves(nothing, nothing, nothing), []
    records = [
        match_scene(
            table.shared, table.gt_classes, table.gt_sizes, table.classes, table.sizes, table.void,
            _confidences(table, scores), THRESHOLDS, class_count, min_region,
        )
        for table in tables
    ]
    slots, values, hits, misses = zip(*records, strict=True)
    slot_count = len(THRESHOLDS) * class_count
    pooled = _curves(np.concatenate(slots), np.concatenate(values), np.concatenate(hits), np.sum(misses, axis=0), 1)
    of_scene = np.concatenate([part + i * slot_count for i, part in enumerate(slots)])
    alone = _curves(of_scene, np.concatenate(values), np.concatenate(hits), np.concatenate(misses), len(tables))
    return pooled[0], alone


def _confidences(table: OverlapTable, scores: ScoresAs) -> Float64[np.ndarray, "p"]:
    return np.ones_like(table.scores) if scores == "constant" else table.scores


def evaluate_scenes(
    gt_ids: Sequence[Int[np.ndarray, "..."]],
    predictions: Sequence[ScenePrediction],
    protocol: Protocol,
    class_agnostic: bool = False,
    scores: ScoresAs = "ranked",
    scene_names: Sequence[str] | None = None,
) -> Result:
    """Average precision of predicted instances.

    Args:
        gt_ids: per scene, label * 1000 + instance of every vertex.
        predictions: per scene, on the same vertices.
        protocol: classes and the smallest instance.
        class_agnostic: one class for all.
        scores: `constant` sets every score to 1.
        scene_names: default 0, 1, ...
    """
    names = [str(i) for i in range(len(gt_ids))] if scene_names is None else list(scene_names)
    if not len(gt_ids) == len(predictions) == len(names) == len(set(names)):
        raise InputError(
            f"{len(gt_ids)} scenes of ground truth, {len(predictions)} predictions and {len(set(names))} distinct "
            "names: give one of each per scene"
        )
    tables = []
    for name, ids, prediction in zip(names, gt_ids, predictions, strict=True):
        try:
            tables.append(overlap_table(ids, prediction, protocol, class_agnostic))
        except InputError as error:
            raise InputError(f"scene {name}: {error}") from error
    return evaluate_tables(tables, names, protocol, class_agnostic, scores)


def evaluate_tables(
    tables: Sequence[OverlapTable],
    scene_names: Sequence[str],
    protocol: Protocol,
    class_agnostic: bool = False,
    scores: ScoresAs = "ranked",
) -> Result:
    """`evaluate_scenes` from what was counted: tables are small where masks of many scenes are not."""
    classes = ("object",) if class_agnostic else protocol.names
    pooled, alone = average_precision(tables, len(classes), protocol.min_region, scores)
    return Result(
        pooled.means(),
        {name: APs(float(row[:-1].mean()), float(row[0]), float(row[-1]))
         for name, row in zip(classes, pooled.ap, strict=True)},
        {name: curves.means() for name, curves in zip(scene_names, alone, strict=True)},
        pooled,
        {"protocol": protocol.name, "min_region": protocol.min_region, "void": protocol.void,
         "class_agnostic": class_agnostic, "scores": scores, "scenes": len(tables)},
    )


def _curves(
    slots: Int64[np.ndarray, "r"],
    values: Float64[np.ndarray, "r"],
    hits: Bool[np.ndarray, "r"],
    misses: Int64[np.ndarray, "s"],
    groups: int,
) -> list[Curves]:
    order = np.lexsort((values, slots))
    arrays = integrate(slots[order], values[order], hits[order], misses)
    shape = (groups, len(THRESHOLDS), len(misses) // (groups * len(THRESHOLDS)))
    ap, precision, recall = (array.reshape(shape).transpose(0, 2, 1) for array in arrays)
    return [Curves(ap[i], precision[i], recall[i]) for i in range(groups)]


def _class_of(labels: Int64[np.ndarray, "l"], protocol: Protocol) -> Int64[np.ndarray, "l"]:
    """Position in the protocol's list, -1 = none."""
    ids = np.array(protocol.ids, np.int64)
    order = np.argsort(ids)
    place = np.minimum(np.searchsorted(ids, labels, sorter=order), len(ids) - 1)
    return np.where(ids[order[place]] == labels, order[place], -1)


def _starts(counts: Int64[np.ndarray, "p"]) -> Int64[np.ndarray, "p+1"]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))


def _mean(values: Float64[np.ndarray, "c"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
