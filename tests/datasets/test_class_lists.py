"""Class lists by their counts and by places that are known, and the conventions a protocol can state."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seg3r.datasets.replica import REPLICA, REPLICA_SCENES
from seg3r.datasets.scannet import SCANNET20, SCANNET200
from seg3r.datasets.scannetpp import SCANNETPP, SCANNETPP_SEMANTIC
from seg3r.datasets.scenefun3d import SCENEFUN3D, SCENEFUN3D_QUERIES
from seg3r.errors import InputError
from seg3r.metrics.instance_ap import ScenePrediction, evaluate_scenes, overlap_table
from seg3r.metrics.protocol import EXCLUDED_ID, Protocol

ALL = (SCANNET20, SCANNET200, REPLICA, SCANNETPP, SCENEFUN3D, SCENEFUN3D_QUERIES)


def named(protocol: Protocol) -> dict[int, str]:
    return dict(zip(protocol.ids, protocol.names, strict=True))


def test_counts_and_known_ids() -> None:
    assert [len(p.ids) for p in ALL] == [18, 198, 48, 84, 9, 1]
    assert [p.top_k for p in ALL] == [300, 600, 300, 300, 300, 300]
    assert {named(REPLICA)[i] for i in (3, 20, 80, 98)} == {"basket", "chair", "table", "rug"}
    assert {named(SCANNETPP)[i] for i in (3, 9, 15, 99)} == {"table", "chair", "box", "marker"}
    assert {named(SCENEFUN3D)[i] for i in (1, 3, 9)} == {"rotate", "tip_push", "unplug"}
    assert len(REPLICA_SCENES) == 8


def test_scannetpp_instances_are_among_its_semantic_classes() -> None:
    assert len(SCANNETPP_SEMANTIC) == len(set(SCANNETPP_SEMANTIC)) == 100
    assert all(SCANNETPP_SEMANTIC[i] == name for i, name in named(SCANNETPP).items())
    left_out = {"wall", "ceiling", "floor", "window frame", "doorframe", "pipe", "paper", "board"}
    assert left_out <= set(SCANNETPP_SEMANTIC) - set(SCANNETPP.names)


def test_scannet200_groups() -> None:
    groups = dict(SCANNET200.groups)
    # 66, 68 and 66 of the 200; wall and floor are head
    assert {name: len(members) for name, members in groups.items()} == {
        "head": 64, "common": 68, "tail": 66, "base": 51, "novel": 147,
    }
    names = set(SCANNET200.names)
    assert set(groups["head"]) | set(groups["common"]) | set(groups["tail"]) == names
    assert set(groups["base"]) | set(groups["novel"]) == names
    assert not set(groups["base"]) & set(groups["novel"])
    assert {"chair", "door"} <= set(groups["head"]) and "luggage" in groups["tail"] and "mattress" in groups["common"]


def test_names_as_phrases() -> None:
    assert "tv stand" in REPLICA.phrases and "tip push" in SCENEFUN3D.phrases
    assert all(len(set(p.phrases)) == len(p.names) for p in ALL)


# -- void and excluded vertices ----------------------------------------------------------------------------------------


def predict(n: int, *masks: tuple[slice, int, float]) -> ScenePrediction:
    lists = [np.arange(n)[where] for where, _, _ in masks]
    labels = np.array([label for _, label, _ in masks], np.int64)
    return ScenePrediction.from_lists(lists, n, labels, np.array([score for *_, score in masks], np.float64))


def test_scenefun3d_counts_a_prediction_on_void_as_wrong() -> None:
    gt = np.repeat([1001, 0], [5, 95])
    said = predict(100, (slice(0, 5), 1, 0.5), (slice(50, 60), 1, 0.9))
    strict = evaluate_scenes([gt], [said], SCENEFUN3D).per_class["rotate"]
    # the wrong one ranks first: precision 1/2 at recall 1, 0 before; (1/2)(1 - 0)/2
    assert strict.ap50 == pytest.approx(0.25)
    lenient = Protocol("lenient", SCENEFUN3D.ids, SCENEFUN3D.names, min_region=1)
    assert evaluate_scenes([gt], [said], lenient).per_class["rotate"].ap50 == 1.0


def test_elements_of_one_point_count() -> None:
    gt = np.array([3001, 0, 0])
    assert evaluate_scenes([gt], [predict(3, (slice(0, 1), 3, 1.0))], SCENEFUN3D).per_class["tip_push"] == (1, 1, 1)
    assert evaluate_scenes([gt], [predict(3)], SCENEFUN3D).per_class["tip_push"].ap == 0.0


def test_excluded_vertices_are_cut_from_both_sides() -> None:
    gt = np.repeat([1001, EXCLUDED_ID, 0], [4, 6, 10])
    wide = predict(20, (slice(0, 10), 1, 1.0), (slice(5, 9), 2, 1.0))
    table = overlap_table(gt, wide, SCENEFUN3D)
    assert table.sizes.tolist() == [4, 0] and table.shared.tolist() == [[4], [0]] and table.gt_sizes.tolist() == [4]
    result = evaluate_scenes([gt], [wide], SCENEFUN3D)
    assert result.per_class["rotate"] == (1.0, 1.0, 1.0)
    assert math.isnan(result.per_class["key_press"].ap)
    assert result.settings["void"] == "wrong"


def test_cutting_is_the_same_as_never_having_had_the_vertices() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        gt = rng.choice([0, 1001, 1002, 2003, EXCLUDED_ID], 60)
        masks, labels, scores = rng.random((5, 60)) < 0.4, rng.choice([1, 2], 5), rng.random(5)
        whole = overlap_table(gt, ScenePrediction.from_masks(masks, labels, scores), SCENEFUN3D)
        kept = gt != EXCLUDED_ID
        cut = overlap_table(gt[kept], ScenePrediction.from_masks(masks[:, kept], labels, scores), SCENEFUN3D)
        for name in ("gt_classes", "gt_sizes", "classes", "sizes", "scores", "void", "shared"):
            np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name))


def test_a_protocol_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(InputError, match="excluded id 1255"):
        Protocol("broken", (1,), ("a",), excluded_id=1255)
    with pytest.raises(InputError, match="group g names 'b'"):
        Protocol("broken", (1,), ("a",), groups=(("g", ("a", "b")),))
    with pytest.raises(InputError, match="top_k"):
        Protocol("broken", (1,), ("a",), top_k=0)
