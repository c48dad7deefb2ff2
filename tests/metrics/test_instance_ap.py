from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.datasets.scannet import SCANNET20, SCANNET200
from seg3r.errors import InputError
from seg3r.metrics.instance_ap import (
    THRESHOLDS,
    OverlapTable,
    Result,
    ScenePrediction,
    average_precision,
    evaluate_scenes,
    overlap_table,
)
from seg3r.metrics.protocol import Protocol, protocol_from_classes

DATA = Path(__file__).resolve().parents[1] / "data" / "evaluator"
EXPECTED = json.loads((DATA / "expected.json").read_text())
CHAIR, TABLE, FLOOR = 5, 7, 2


def load(scene: int, scores: str) -> tuple[np.ndarray, ScenePrediction]:
    with np.load(DATA / f"scene{scene}.npz") as file:
        masks = np.unpackbits(file["masks_packed"], axis=1, count=int(file["n_vertices"])).astype(bool)
        return file["gt"], ScenePrediction.from_masks(masks, file["labels"], file[f"score_{scores}"])


def predict(n: int, *instances: tuple[slice | np.ndarray, int, float]) -> ScenePrediction:
    masks = np.zeros((len(instances), n), bool)
    for mask, (where, _, _) in zip(masks, instances, strict=True):
        mask[where] = True
    labels = np.array([label for _, label, _ in instances], np.int64)
    return ScenePrediction.from_masks(masks, labels, np.array([score for _, _, score in instances], np.float64))


def truth(n: int, *instances: tuple[slice, int]) -> np.ndarray:
    ids = np.zeros(n, np.int64)
    for number, (where, label) in enumerate(instances, 1):
        ids[where] = label * 1000 + number
    return ids


def one(gt: np.ndarray, prediction: ScenePrediction, **options: object) -> Result:
    return evaluate_scenes([gt], [prediction], SCANNET20, **options)  # type: ignore[arg-type]


# -- the reference program ---------------------------------------------------------------------------------------------


def test_thresholds_are_the_references() -> None:
    assert THRESHOLDS.tolist() == EXPECTED["thresholds"]


@pytest.mark.parametrize("key", EXPECTED["scannet_official"])
def test_reference_values(key: str) -> None:
    want = EXPECTED["scannet_official"][key]
    mode, scores, which = key.split("/")
    scenes = [load(i, scores) for i in (range(6) if which == "all" else [int(which[-1])])]
    result = evaluate_scenes([gt for gt, _ in scenes], [p for _, p in scenes], SCANNET20, mode == "agnostic")

    def close(ours: float, theirs: float | None) -> bool:
        return math.isnan(ours) if theirs is None else abs(ours - theirs) <= 1e-12

    assert all(close(*pair) for pair in zip(result.overall, (want["AP"], want["AP50"], want["AP25"]), strict=True))
    names = list(result.per_class)
    assert mode == "agnostic" or {n for n, aps in result.per_class.items() if not math.isnan(aps.ap)} == set(
        want["per_class"]
    )
    for name, theirs in want["per_class"].items():
        row = names.index(name) if mode == "aware" else 0
        for ours, field in zip(result.curves, ("AP_per_threshold", "precision_all", "recall_all"), strict=True):
            if field in theirs:
                assert np.abs(ours[row] - theirs[field]).max() <= 1e-12
    if which == "all":
        for i in range(6):
            alone = EXPECTED["scannet_official"][f"{mode}/{scores}/scene{i}"]
            pairs = zip(result.per_scene[str(i)], (alone["AP"], alone["AP50"], alone["AP25"]), strict=True)
            assert all(close(*pair) for pair in pairs)


def test_constant_scores_are_the_references_constant_column() -> None:
    scenes = [load(i, "ranked") for i in range(6)]
    result = evaluate_scenes([gt for gt, _ in scenes], [p for _, p in scenes], SCANNET20, scores="constant")
    assert result.overall.ap == pytest.approx(EXPECTED["scannet_official"]["aware/const/all"]["AP"], abs=1e-12)
    assert result.settings["scores"] == "constant"


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_perfect() -> None:
    gt = truth(1000, (slice(0, 300), CHAIR), (slice(300, 600), TABLE))
    result = one(gt, predict(1000, (slice(0, 300), CHAIR, 0.2), (slice(300, 600), TABLE, 0.9)))
    assert result.overall == (1.0, 1.0, 1.0)
    assert result.per_class["chair"] == result.per_class["table"] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("targets", "found", "wrong"), [(4, 2, 3), (2, 1, 9), (3, 3, 1), (5, 1, 0)])
def test_constant_score_gives_recall_times_mean_of_one_and_precision(targets: int, found: int, wrong: int) -> None:
    n = 200 * (targets + wrong)
    gt = truth(n, *((slice(200 * i, 200 * i + 200), CHAIR) for i in range(targets)))
    gt[200 * targets :] = TABLE * 1000 + 999  # not void: a wrong chair here is a false positive
    spans = [*range(found), *range(targets, targets + wrong)]
    result = one(gt, predict(n, *((slice(200 * i, 200 * i + 200), CHAIR, 1.0) for i in spans)))
    recall, precision = found / targets, found / (found + wrong)
    assert result.per_class["chair"].ap == pytest.approx(recall * (1 + precision) / 2, abs=1e-15)


def test_ranked_scores_by_hand() -> None:
    # true .9, false .8, true .7 of 2 targets: points (P 2/3, R 1), (1/2, 1/2), (1, 1/2), (1, 0), then R 0;
    # AP = 2/3 (1 - 1/2)/2 + 1/2 (1 - 1/2)/2 + 1 (1/2 - 0)/2 + 1 (1/2 - 0)/2 = 19/24.
    gt = truth(1000, (slice(0, 200), CHAIR), (slice(200, 400), CHAIR), (slice(400, 600), TABLE))
    prediction = predict(
        1000, (slice(0, 200), CHAIR, 0.9), (slice(400, 600), CHAIR, 0.8), (slice(200, 400), CHAIR, 0.7)
    )
    assert one(gt, prediction).per_class["chair"].ap == pytest.approx(19 / 24, abs=1e-15)


def test_overlap_of_exactly_a_half_does_not_match_at_a_half() -> None:
    gt = truth(1000, (slice(0, 400), CHAIR))
    assert one(gt, predict(1000, (slice(0, 200), CHAIR, 1.0))).overall == (0.0, 0.0, 1.0)
    assert one(gt, predict(1000, (slice(0, 201), CHAIR, 1.0))).overall.ap50 == 1.0


def test_small_predictions_are_dropped_and_small_instances_are_no_targets() -> None:
    gt = truth(1000, (slice(0, 120), CHAIR))
    assert one(gt, predict(1000, (slice(0, 100), CHAIR, 1.0))).overall.ap50 == 1.0
    assert one(gt, predict(1000, (slice(0, 99), CHAIR, 1.0))).overall.ap50 == 0.0
    assert one(truth(1000, (slice(0, 100), CHAIR)), predict(1000)).overall.ap == 0.0
    assert math.isnan(one(truth(1000, (slice(0, 99), CHAIR)), predict(1000)).overall.ap)


def test_min_region_is_the_protocols() -> None:
    tiny = Protocol("parts", (1,), ("knob",), min_region=1)
    result = evaluate_scenes([np.array([1001, 0])], [predict(2, (slice(0, 1), 1, 1.0))], tiny)
    assert result.overall == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("nowhere", [0, FLOOR * 1000 + 7, -1])
def test_predictions_on_void_are_neither_right_nor_wrong(nowhere: int) -> None:
    gt = truth(1000, (slice(0, 200), CHAIR))
    gt[200:] = nowhere
    chair, void = (slice(0, 200), CHAIR, 0.5), (slice(600, 900), CHAIR, 0.9)
    assert one(gt, predict(1000, chair, void)).overall == (1.0, 1.0, 1.0)
    gt[600:900] = TABLE * 1000 + 1
    assert one(gt, predict(1000, chair, void)).per_class["chair"].ap50 == pytest.approx(0.25)


def test_duplicates_are_false_positives_at_the_lower_score() -> None:
    # The instance keeps .9, the false positive gets .3: precision stays 1 until the end of the ranking.
    gt = truth(1000, (slice(0, 200), CHAIR))
    for first, second in ((0.9, 0.3), (0.3, 0.9)):
        prediction = predict(1000, (slice(0, 200), CHAIR, first), (slice(0, 190), CHAIR, second))
        result = one(gt, prediction)
        assert result.overall.ap50 == pytest.approx(1.0)
        assert one(gt, prediction, scores="constant").overall.ap50 == pytest.approx(0.75)


def test_instances_are_counted_by_themselves_when_class_agnostic() -> None:
    # Equal instance numbers under different labels stay two things.
    gt = np.repeat([CHAIR * 1000 + 1, TABLE * 1000 + 1, 0], 200)
    wrong_labels = predict(600, (slice(0, 200), 39, 0.5), (slice(200, 400), FLOOR, 0.5))
    assert one(gt, wrong_labels, class_agnostic=True).overall == (1.0, 1.0, 1.0)
    assert list(one(gt, wrong_labels, class_agnostic=True).per_class) == ["object"]
    assert one(gt, wrong_labels).overall == (0.0, 0.0, 0.0)


def test_class_agnostic_instances_stand_in_the_order_of_their_numbers() -> None:
    # The first prediction lies on both. The table, number 1, comes first and takes it; the chair gets the second.
    gt = np.repeat([CHAIR * 1000 + 2, TABLE * 1000 + 1, 0], 200)
    prediction = predict(600, (slice(0, 400), CHAIR, 0.5), (slice(0, 150), CHAIR, 0.5))
    assert one(gt, prediction, class_agnostic=True).overall.ap25 == 1.0
    swapped = np.repeat([CHAIR * 1000 + 1, TABLE * 1000 + 2, 0], 200)
    assert one(swapped, prediction, class_agnostic=True).overall.ap25 == pytest.approx(0.5 * (1 + 0.5) / 2)


def test_all_predictions_ignored_gives_zero() -> None:
    gt = truth(1000, (slice(0, 300), CHAIR), (slice(300, 600), TABLE))
    result = one(gt, predict(1000, (slice(700, 900), CHAIR, 0.5), (slice(300, 600), TABLE, 0.5)))
    assert result.per_class["chair"] == (0.0, 0.0, 0.0)
    assert result.per_class["table"] == (1.0, 1.0, 1.0)
    assert result.overall == (0.5, 0.5, 0.5)


def test_nothing_anywhere() -> None:
    assert one(truth(500, (slice(0, 200), CHAIR)), predict(500)).overall == (0.0, 0.0, 0.0)
    assert all(math.isnan(x) for x in one(np.zeros(0, np.int64), predict(0)).overall)
    assert all(math.isnan(x) for x in evaluate_scenes([], [], SCANNET20).overall)
    absent = one(truth(500, (slice(0, 200), CHAIR)), predict(500, (slice(300, 500), TABLE, 1.0)))
    assert math.isnan(absent.per_class["table"].ap)


def test_json() -> None:
    gt = truth(500, (slice(0, 200), CHAIR))
    result = evaluate_scenes([gt], [predict(500, (slice(0, 200), CHAIR, 1.0))], SCANNET20, scene_names=["room"])
    out = json.loads(json.dumps(result.as_json([(10, math.nan), (20, 0.5)], {"method": "m"}), allow_nan=False))
    assert list(out) == ["AP", "AP50", "AP25", "per_class", "per_scene", "online", "settings"]
    assert out["AP"] == 1.0 and out["per_scene"] == {"room": {"AP": 1.0, "AP50": 1.0, "AP25": 1.0}}
    assert out["per_class"]["chair"]["AP"] == 1.0 and out["per_class"]["bed"]["AP"] is None
    assert out["online"] == [{"frame": 10, "AP": None}, {"frame": 20, "AP": 0.5}]
    assert out["settings"]["method"] == "m" and out["settings"]["protocol"] == "scannet20"


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_bad_input_is_named() -> None:
    gt = truth(500, (slice(0, 200), CHAIR))
    with pytest.raises(InputError, match="scene room: masks are over 400 vertices, the ground truth over 500"):
        evaluate_scenes([gt], [predict(400)], SCANNET20, scene_names=["room"])
    with pytest.raises(InputError, match="one of each per scene"):
        evaluate_scenes([gt], [], SCANNET20)
    with pytest.raises(InputError, match=r"label \* 1000"):
        one(np.full(500, 10**12), predict(500))
    with pytest.raises(InputError, match="NaN"):
        predict(500, (slice(0, 200), CHAIR, math.nan))
    with pytest.raises(InputError, match=r"0\.\.9"):
        ScenePrediction.from_lists([np.array([10])], 10, np.array([5]), np.array([1.0]))
    with pytest.raises(InputError, match="as many labels"):
        ScenePrediction.from_lists([np.array([1])], 10, np.array([5, 5]), np.array([1.0, 1.0]))


# -- protocols ---------------------------------------------------------------------------------------------------------


def test_class_lists() -> None:
    assert len(SCANNET20.ids) == 18 and len(SCANNET200.ids) == 198
    assert dict(zip(SCANNET200.ids, SCANNET200.names, strict=True))[2] == "chair"
    assert dict(zip(SCANNET200.ids, SCANNET200.names, strict=True))[1191] == "mattress"
    assert not {"wall", "floor"} & set(SCANNET200.names)
    assert list(SCANNET200.ids) == sorted(SCANNET200.ids)


def test_protocol_from_classes() -> None:
    protocol = protocol_from_classes(["wall", "chair", "floor", "cup"], {"wall", "floor"})
    assert protocol.ids == (2, 4) and protocol.names == ("chair", "cup")
    with pytest.raises(InputError, match="ceiling"):
        protocol_from_classes(["wall"], ["ceiling"])
    for broken in [((), ()), ((0,), ("a",)), ((1, 1), ("a", "b")), ((1, 2), ("a", "a")), ((1,), ("a", "b"))]:
        with pytest.raises(InputError):
            Protocol("broken", *broken)
    with pytest.raises(InputError, match="min_region"):
        Protocol("broken", (1,), ("a",), min_region=0)


# -- properties --------------------------------------------------------------------------------------------------------

TOY = Protocol("toy", (1, 2), ("a", "b"), min_region=3)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p = draw(st.integers(1, 60)), draw(st.integers(0, 6))
    gt = rng.choice([0, 1001, 1002, 2003, 2004, 3005], n)
    masks = rng.random((p, n)) < rng.random((p, 1))
    for mask in masks:  # near copies of an instance, so that matches occur
        if rng.random() < 0.6:
            mask[:] = (gt == rng.choice(gt)) ^ (rng.random(n) < 0.1)
    return gt, masks, rng.choice([1, 2, 3], p), rng.choice([0.1, 0.5, 0.9], p)


def result_of(*given_scenes: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], agnostic: bool = False) -> Result:
    predictions = [ScenePrediction.from_masks(*rest) for _, *rest in given_scenes]
    return evaluate_scenes([gt for gt, *_ in given_scenes], predictions, TOY, agnostic)


@settings(max_examples=60, deadline=None)
@given(scenes(), st.booleans(), st.integers(0, 999))
def test_order_of_vertices_does_not_matter(scene: tuple[np.ndarray, ...], agnostic: bool, seed: int) -> None:
    gt, masks, labels, scores = scene
    order = np.random.default_rng(seed).permutation(len(gt))
    ours, theirs = (result_of(s, agnostic=agnostic) for s in (scene, (gt[order], masks[:, order], labels, scores)))
    np.testing.assert_array_equal(ours.curves.ap, theirs.curves.ap)


@settings(max_examples=30, deadline=None)
@given(st.lists(scenes(), min_size=2, max_size=4))
def test_order_of_scenes_does_not_matter(some: list[tuple[np.ndarray, ...]]) -> None:
    forward, backward = result_of(*some), result_of(*some[::-1])
    np.testing.assert_array_equal(forward.curves.ap, backward.curves.ap)
    np.testing.assert_array_equal([*forward.per_scene.values()], [*backward.per_scene.values()][::-1])


@settings(max_examples=60, deadline=None)
@given(scenes(), st.booleans())
def test_numbers_stay_in_their_range(scene: tuple[np.ndarray, ...], agnostic: bool) -> None:
    result = result_of(scene, agnostic=agnostic)
    for table in result.curves:
        known = table[~np.isnan(table)]
        assert ((known >= 0) & (known <= 1 + 1e-12)).all()
    # Recall cannot grow with the overlap asked for.
    recall = result.curves.recall[:, [9, *range(9)]]
    assert np.isnan(recall).any(axis=1).tolist() == np.isnan(recall).all(axis=1).tolist()
    assert (np.diff(recall[~np.isnan(recall).any(axis=1)]) <= 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_only_the_ranking_of_scores_matters(scene: tuple[np.ndarray, ...]) -> None:
    gt, masks, labels, scores = scene
    stretched = result_of((gt, masks, labels, scores**3 * 7 - 2))
    np.testing.assert_array_equal(result_of(scene).curves.ap, stretched.curves.ap)


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_tables_count_what_they_say(scene: tuple[np.ndarray, ...]) -> None:
    gt, masks, labels, scores = scene
    table = overlap_table(gt, ScenePrediction.from_masks(masks, labels, scores), TOY)
    kept = np.isin(labels, TOY.ids)
    instances = [i for i in np.unique(gt) if i // 1000 in TOY.ids]
    assert table.gt_sizes.tolist() == [(gt == i).sum() for i in instances]
    assert table.shared.tolist() == [[(mask & (gt == i)).sum() for i in instances] for mask in masks[kept]]
    assert (table.void + table.shared.sum(axis=1)).tolist() == table.sizes.tolist() == masks[kept].sum(axis=1).tolist()


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_lists_and_masks_are_the_same_prediction(scene: tuple[np.ndarray, ...]) -> None:
    gt, masks, labels, scores = scene
    dense = ScenePrediction.from_masks(masks, labels, scores)
    lists = [np.flatnonzero(mask)[::-1].repeat(2) for mask in masks]
    sparse = ScenePrediction.from_lists(lists, len(gt), labels, scores)
    assert dense.vertices.tolist() == sparse.vertices.tolist() and dense.starts.tolist() == sparse.starts.tolist()
    assert [one.tolist() for one in dense.lists()] == [np.flatnonzero(mask).tolist() for mask in masks]


def test_the_pure_layer_needs_no_vertices() -> None:
    table = OverlapTable(
        gt_classes=np.array([0]), gt_sizes=np.array([10]), classes=np.array([0]), sizes=np.array([8]),
        scores=np.array([0.5]), void=np.array([0]), shared=np.array([[8]]),
    )  # fmt: skip
    pooled, (alone,) = average_precision([table], class_count=2, min_region=5)
    assert pooled.ap[0].tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 0, 1]  # the seventh is 0.8000000000000003
    assert np.isnan(pooled.ap[1]).all()
    np.testing.assert_array_equal(alone.ap, pooled.ap)
