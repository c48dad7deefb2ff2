"""One set of labelled masks, four numbers: which pairs of mask and label are exported, and with what confidence.

Both choices move AP by points and papers differ in them, so every number carries its convention in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from seg3r.choices import ScoresAs
from seg3r.errors import InputError
from seg3r.metrics.instance_ap import APs, OverlapTable, Result, ScenePrediction, evaluate_tables, overlap_table
from seg3r.metrics.protocol import Protocol

HEADLINE = "Top-1, ranked"
_EXPORT = {
    "Top-1": "each mask under its best label",
    "Top-K": "the {k} best (mask, label) pairs of a scene, so that a mask may appear under several labels",
}
_CONFIDENCE = {
    "ranked": "confidence (s^3 p)^(1/4) of instance score s and label probability p",
    "constant": "every confidence 1, so that AP = recall (1 + precision) / 2 and extra masks are nearly free",
}


@dataclass(frozen=True, eq=False)
class LabelledScene:
    """A scene's masks counted against the truth, and what each may be called."""

    name: str
    masks: OverlapTable
    """A row per mask, its class not yet chosen; `scores` are those of the instances."""
    labels: Float[np.ndarray, "k c"]
    """Probabilities, a column per class of the protocol."""


@dataclass(frozen=True, eq=False)
class Column:
    """One convention's numbers."""

    export: Literal["Top-1", "Top-K"]
    confidence: ScoresAs
    convention: str
    """In words."""
    result: Result
    groups: Mapping[str, APs]
    """Means over the classes of each group of the protocol that have targets."""

    @property
    def name(self) -> str:
        return f"{self.export}, {self.confidence}"


@dataclass(frozen=True, eq=False)
class ConventionTable:
    """The four of them, the headline first."""

    protocol: Protocol
    top_k: int
    columns: tuple[Column, ...]

    def __getitem__(self, name: str) -> Column:
        """By name, such as `Top-K, constant`."""
        return next(column for column in self.columns if column.name == name)

    def as_json(self) -> dict[str, Any]:
        """Plain values, NaN as null; the convention beside each number."""
        return {
            "protocol": self.protocol.name, "top_k": self.top_k, "headline": HEADLINE,
            "columns": {
                column.name: {
                    "convention": column.convention,
                    **column.result.as_json(),
                    "groups": {group: aps.as_json() for group, aps in column.groups.items()},
                }
                for column in self.columns
            },
        }

    def lines(self) -> list[str]:
        """A table for a terminal, in per cent: AP, AP50, AP25, the AP of each group; then what each row means."""
        groups = [group for group, _ in self.protocol.groups]
        scenes = self.columns[0].result.settings["scenes"]
        head = f"{self.protocol.name}, {scenes} scenes"
        width = max(len(head), *(len(column.name) for column in self.columns))
        rows = [f"{head:{width}}" + "".join(f"{title:>8}" for title in ("AP", "AP50", "AP25", *groups))]
        for column in self.columns:
            values = (*column.result.overall, *(column.groups[group].ap for group in groups))
            rows.append(f"{column.name:{width}}" + "".join(f"{_per_cent(value):>8}" for value in values))
        return [*rows, "", *(f"{column.name}: {column.convention}" for column in self.columns)]


def labelled_scene(
    name: str,
    gt_ids: Int[np.ndarray, "n"],
    prediction: ScenePrediction,
    labels: Float[np.ndarray, "k c"],
    protocol: Protocol,
) -> LabelledScene:
    """Count a scene's masks.

    Args:
        gt_ids: label * 1000 + instance of every vertex.
        prediction: masks and instance scores; its labels are not looked at.
        labels: probability of each class of the protocol, per mask.

    Raises:
        InputError: another number of masks or classes, or probabilities that are none.
    """
    if labels.shape != (len(prediction), len(protocol.names)):
        got = "x".join(str(n) for n in labels.shape)
        raise InputError(
            f"scene {name}: expected label probabilities {len(prediction)}x{len(protocol.names)} "
            f"(masks x classes of {protocol.name}), got {got}"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() <= 1):
        raise InputError(f"scene {name}: label probabilities must lie in 0..1")
    if (prediction.scores < 0).any():
        raise InputError(f"scene {name}: instance scores must not be negative")
    unlabelled = ScenePrediction(
        prediction.vertices, prediction.starts, prediction.vertex_count,
        np.full(len(prediction), protocol.ids[0], np.int64), prediction.scores,
    )
    try:
        return LabelledScene(name, overlap_table(gt_ids, unlabelled, protocol), labels)
    except InputError as error:
        raise InputError(f"scene {name}: {error}") from error


def four_columns(scenes: Sequence[LabelledScene], protocol: Protocol, top_k: int | None = None) -> ConventionTable:
    """{Top-1, Top-K} x {ranked, constant}.

    Args:
        top_k: pairs per scene; None: the protocol's (600 for ScanNet200, else 300).
    """
    k = protocol.top_k if top_k is None else top_k
    if k < 1:
        raise InputError(f"top_k must be at least 1, got {k}")
    names = [scene.name for scene in scenes]
    exports: dict[Literal["Top-1", "Top-K"], list[OverlapTable]] = {
        "Top-1": [best_labels(scene) for scene in scenes], "Top-K": [best_pairs(scene, k) for scene in scenes],
    }
    columns = []
    for export, tables in exports.items():
        confidences: tuple[ScoresAs, ...] = ("ranked", "constant")
        for confidence in confidences:
            result = evaluate_tables(tables, names, protocol, scores=confidence)
            convention = f"{_EXPORT[export].format(k=k)}; {_CONFIDENCE[confidence]}"
            columns.append(Column(export, confidence, convention, result, group_means(result, protocol)))
    return ConventionTable(protocol, k, tuple(columns))


def best_labels(scene: LabelledScene) -> OverlapTable:
    """Top-1: masks in their order, each under its most probable class (the first on a tie); none with probability 0."""
    if not scene.labels.size:
        return _chosen(scene, np.empty(0, np.int64), np.empty(0, np.int64))
    classes = scene.labels.argmax(axis=1)
    rows = np.flatnonzero(scene.labels[np.arange(len(classes)), classes] > 0)
    return _chosen(scene, rows, classes[rows])


def best_pairs(scene: LabelledScene, top_k: int) -> OverlapTable:
    """Top-K: the pairs of highest confidence, best first (ties: the earlier mask, then class); none with probability
    0."""
    rows, classes = np.nonzero(scene.labels > 0)
    confidence = _confidence(scene, rows, classes)
    best = np.argsort(-confidence, kind="stable")[:top_k]
    return _chosen(scene, rows[best], classes[best])


def group_means(result: Result, protocol: Protocol) -> dict[str, APs]:
    """Of each group of classes: the mean over those that have targets."""
    return {group: _mean(result.per_class[name] for name in members) for group, members in protocol.groups}


def _chosen(scene: LabelledScene, rows: Int[np.ndarray, "p"], classes: Int[np.ndarray, "p"]) -> OverlapTable:
    masks = scene.masks
    return OverlapTable(
        masks.gt_classes, masks.gt_sizes, classes.astype(np.int64), masks.sizes[rows],
        _confidence(scene, rows, classes), masks.void[rows], np.ascontiguousarray(masks.shared[rows]),
    )


def labelled_confidence(
    scores: Float[np.ndarray, "p"], probabilities: Float[np.ndarray, "p"]
) -> Float[np.ndarray, "p"]:
    """Of an instance under a label: the label's probability as a fourth factor beside the instance score's three,
    (s^3 p)^(1/4) (docs/opentrack3d.md, 3.11)."""
    return np.asarray((scores**3 * probabilities.astype(np.float64)) ** 0.25, np.float64)


def _confidence(
    scene: LabelledScene, rows: Int[np.ndarray, "p"], classes: Int[np.ndarray, "p"]
) -> Float[np.ndarray, "p"]:
    return labelled_confidence(scene.masks.scores[rows], scene.labels[rows, classes])


def _mean(values: Iterable[APs]) -> APs:
    known = [aps for aps in values if not math.isnan(aps.ap)]
    if not known:
        return APs(math.nan, math.nan, math.nan)
    return APs(*(float(sum(column) / len(known)) for column in zip(*known, strict=True)))


def _per_cent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
