"""Folders of text files, as the benchmark takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seg3r.datasets.scannet import SCANNET20
from seg3r.datasets.scannet_text import write_ground_truth, write_prediction
from seg3r.errors import InputError
from seg3r.evaluate.text_files import evaluate_folder
from seg3r.metrics.instance_ap import evaluate_scenes
from tests.datasets.predictions import random_prediction


def test_folder_is_the_same_as_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gts = {f"s{i}": rng.choice([0, 5001, 7002, 5003], 400) for i in range(3)}
    predictions = {name: random_prediction(i) for i, name in enumerate(gts)}
    (tmp_path / "gt").mkdir()
    for name, gt in gts.items():
        write_ground_truth(tmp_path / "gt" / f"{name}.txt", gt)
        write_prediction(tmp_path / "pred", name, predictions[name])
    on_disk = evaluate_folder(tmp_path / "gt", tmp_path / "pred", SCANNET20, scores="constant")
    here = evaluate_scenes(list(gts.values()), list(predictions.values()), SCANNET20, scores="constant")
    np.testing.assert_array_equal(on_disk.curves.ap, here.curves.ap)
    assert list(on_disk.per_scene) == ["s0", "s1", "s2"]


def test_folders_must_fit(tmp_path: Path) -> None:
    gt, pred = tmp_path / "gt", tmp_path / "pred"
    with pytest.raises(InputError, match="not a folder"):
        evaluate_folder(gt, pred, SCANNET20)
    gt.mkdir(), pred.mkdir()
    with pytest.raises(InputError, match="holds no ground truth"):
        evaluate_folder(gt, pred, SCANNET20)
    write_ground_truth(gt / "a.txt", np.full(200, 5001))
    with pytest.raises(InputError, match=r"holds no a\.txt"):
        evaluate_folder(gt, pred, SCANNET20)
    (pred / "a.txt").touch()
    assert evaluate_folder(gt, pred, SCANNET20).overall.ap == 0
    (pred / "b.txt").touch()
    with pytest.raises(InputError, match=r"b\.txt has no ground truth"):
        evaluate_folder(gt, pred, SCANNET20)
