"""Four conventions from one set of labelled masks: each is what the plain evaluator says of the pairs it exports."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.errors import InputError
from seg3r.metrics.conventions import (
    HEADLINE,
    Column,
    ConventionTable,
    LabelledScene,
    best_labels,
    best_pairs,
    four_columns,
    labelled_scene,
)
from seg3r.metrics.instance_ap import APs, ScenePrediction, evaluate_scenes
from seg3r.metrics.protocol import Protocol

TOY = Protocol(
    "toy", (4, 7, 9), ("a", "b", "c"), min_region=3, groups=(("most", ("a", "b")), ("rest", ("c",))), top_k=4
)
N = 60


def unlabelled(masks: np.ndarray, scores: np.ndarray) -> ScenePrediction:
    return ScenePrediction.from_masks(masks, np.ones(len(masks), np.int64), scores)


def spans(*where: slice) -> np.ndarray:
    masks = np.zeros((len(where), N), bool)
    for mask, span in zip(masks, where, strict=True):
        mask[span] = True
    return masks


def scene_of(gt: np.ndarray, masks: np.ndarray, labels: object, scores: object, name: str = "s") -> LabelledScene:
    probabilities = np.array(labels, np.float32).reshape(len(masks), len(TOY.names))
    return labelled_scene(name, gt, unlabelled(masks, np.array(scores, np.float64)), probabilities, TOY)


GT = np.repeat([4001, 7002, 9003, 0], 15)
THINGS = spans(slice(0, 15), slice(15, 30), slice(30, 45))


def test_right_labels_are_perfect_in_every_column() -> None:
    columns = four_columns([scene_of(GT, THINGS, np.eye(3) * 0.8, [0.9, 0.5, 0.7])], TOY)
    assert [c.name for c in columns.columns] == [
        "Top-1, ranked", "Top-1, constant", "Top-K, ranked", "Top-K, constant",
    ]
    assert columns.columns[0].name == HEADLINE
    assert all(c.result.overall == (1, 1, 1) and c.groups["most"] == (1, 1, 1) for c in columns.columns)


def test_a_second_guess_helps_top_k_alone() -> None:
    labels = [[0.4, 0.6, 0], [0, 1, 0], [0, 0, 1]]
    columns = four_columns([scene_of(GT, THINGS, labels, [1, 1, 1])], TOY)
    assert columns["Top-1, constant"].result.per_class["a"].ap == 0
    assert columns["Top-K, constant"].result.per_class["a"].ap == 1
    # the wrong "b" costs precision: recall 1, precision 1/2
    assert columns["Top-K, constant"].result.per_class["b"].ap50 == pytest.approx((1 + 1 / 2) / 2)
    # ranked, it comes after the right one and costs nothing
    assert columns["Top-K, ranked"].result.per_class["b"].ap50 == 1


def test_the_label_is_a_fourth_factor() -> None:
    table = best_labels(scene_of(GT, THINGS, [[0.5, 0, 0], [0, 0.25, 0], [0, 0, 1]], [0.5, 1.0, 0.8]))
    assert table.scores == pytest.approx([(0.5**3 * 0.5) ** 0.25, 0.25**0.25, (0.8**3) ** 0.25])
    assert table.classes.tolist() == [0, 1, 2]


def test_the_best_pairs_of_the_scene_are_kept_and_no_more() -> None:
    labels = [[0.5, 0.3, 0.2], [0.1, 0.9, 0], [0, 0, 0]]
    scene = scene_of(GT, THINGS, labels, [1, 1, 1])
    assert [(int(c), round(float(s) ** 4, 4)) for c, s in zip(*pairs(best_pairs(scene, 3)), strict=True)] == [
        (1, 0.9), (0, 0.5), (1, 0.3),
    ]
    assert len(best_pairs(scene, 100).classes) == 5, "a label of probability 0 is no prediction"
    assert len(best_labels(scene).classes) == 2
    assert four_columns([scene], TOY).top_k == 4 and four_columns([scene], TOY, 2).top_k == 2


def pairs(table: object) -> tuple[np.ndarray, np.ndarray]:
    return table.classes, table.scores  # type: ignore[attr-defined]


def test_ties_go_to_the_earlier_mask_and_class() -> None:
    scene = scene_of(GT, THINGS, np.full((3, 3), 0.5), [1, 1, 1])
    assert best_labels(scene).classes.tolist() == [0, 0, 0]
    table = best_pairs(scene, 4)
    assert table.classes.tolist() == [0, 1, 2, 0]
    assert table.shared.argmax(axis=1).tolist() == [0, 0, 0, 1]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gt = rng.choice([0, 4001, 4002, 7003, 9004, 5005], N)
    masks = rng.random((draw(st.integers(0, 6)), N)) < 0.3
    for mask in masks:
        if rng.random() < 0.7:
            mask[:] = (gt == rng.choice(gt)) ^ (rng.random(N) < 0.1)
    labels = rng.choice([0, 0.25, 0.5, 1], (len(masks), 3)).astype(np.float32)
    return gt, masks, labels, rng.choice([0.2, 0.6, 1.0], len(masks))


@settings(max_examples=40, deadline=None)
@given(st.lists(scenes(), min_size=1, max_size=3), st.integers(1, 12))
def test_each_column_is_what_the_evaluator_says_of_the_pairs(some: list[tuple[np.ndarray, ...]], k: int) -> None:
    columns = four_columns([scene_of(*s, name=str(i)) for i, s in enumerate(some)], TOY, k)
    for column in columns.columns:
        exported = []
        for _, masks, labels, scores in some:
            confidence = (scores[:, None] ** 3 * labels.astype(np.float64)) ** 0.25
            if column.export == "Top-1":
                chosen = [(m, int(labels[m].argmax())) for m in range(len(masks)) if labels[m].max() > 0]
            else:
                every = [(m, c) for m in range(len(masks)) for c in range(3) if labels[m, c] > 0]
                chosen = sorted(every, key=lambda pair: -confidence[pair])[:k]
            exported.append(ScenePrediction.from_lists(
                [np.flatnonzero(masks[m]) for m, _ in chosen], N,
                np.array([TOY.ids[c] for _, c in chosen], np.int64),
                np.array([confidence[p] for p in chosen], np.float64),
            ))
        direct = evaluate_scenes([gt for gt, *_ in some], exported, TOY, scores=column.confidence)
        np.testing.assert_array_equal(column.result.curves.ap, direct.curves.ap)


def test_groups_are_means_over_classes_with_targets() -> None:
    gt = np.repeat([4001, 7002, 0], [15, 15, 30])
    columns = four_columns([scene_of(gt, THINGS[:1], [[1, 0, 0]], [1])], TOY)
    headline = columns[HEADLINE]
    assert headline.groups["most"] == (0.5, 0.5, 0.5)
    assert all(math.isnan(value) for value in headline.groups["rest"])


def test_nothing_said_is_zero_and_no_scene_is_nothing() -> None:
    silent = scene_of(GT, np.zeros((0, N), bool), np.zeros((0, 3)), [])
    assert all(c.result.overall == (0, 0, 0) for c in four_columns([silent], TOY).columns)
    assert all(math.isnan(c.result.overall.ap) for c in four_columns([], TOY).columns)


def test_every_number_carries_its_convention() -> None:
    columns = four_columns([scene_of(GT, THINGS, np.eye(3), [1, 1, 1])], TOY)
    told = json.loads(json.dumps(columns.as_json(), allow_nan=False))
    assert told["headline"] == HEADLINE and told["top_k"] == 4 and told["protocol"] == "toy"
    for name, column in told["columns"].items():
        assert ("every confidence 1" in column["convention"]) == name.endswith("constant")
        assert ("4 best (mask, label) pairs" in column["convention"]) == name.startswith("Top-K")
        assert column["AP"] == 1 and column["groups"]["rest"]["AP50"] == 1


def test_the_table_for_a_terminal() -> None:
    columns = four_columns([scene_of(GT, THINGS[:2], np.eye(3)[:2], [1, 1])], TOY)
    lines = columns.lines()
    assert lines[0].split() == ["toy,", "1", "scenes", "AP", "AP50", "AP25", "most", "rest"]
    assert lines[1].split()[2:] == ["66.7", "66.7", "66.7", "100.0", "0.0"]
    assert len({len(line) for line in lines[:5]}) == 1
    assert lines[5] == "" and lines[6].startswith("Top-1, ranked: each mask under its best label")
    nothing = ConventionTable(TOY, 4, tuple(
        Column(c.export, c.confidence, c.convention, c.result, {"most": APs(*[math.nan] * 3), "rest": c.groups["rest"]})
        for c in columns.columns
    ))
    assert nothing.lines()[1].split()[-2:] == ["-", "0.0"]


def test_bad_input_is_named() -> None:
    prediction = unlabelled(THINGS, np.ones(3))
    with pytest.raises(InputError, match=r"scene room: expected label probabilities 3x3 .* got 2x3"):
        labelled_scene("room", GT, prediction, np.zeros((2, 3), np.float32), TOY)
    for wrong in (-0.1, 1.5, math.nan):
        with pytest.raises(InputError, match=r"0\.\.1"):
            labelled_scene("room", GT, prediction, np.full((3, 3), wrong, np.float32), TOY)
    with pytest.raises(InputError, match="negative"):
        labelled_scene("room", GT, unlabelled(THINGS, np.array([0.1, -1, 0])), np.eye(3, dtype=np.float32), TOY)
    with pytest.raises(InputError, match="scene room: masks are over 60 vertices, the ground truth over 59"):
        labelled_scene("room", GT[1:], prediction, np.eye(3, dtype=np.float32), TOY)
    with pytest.raises(InputError, match="top_k"):
        four_columns([], TOY, 0)
