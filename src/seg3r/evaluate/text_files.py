"""Predictions of any method in the text formats of the ScanNet benchmark."""

from __future__ import annotations

from pathlib import Path

from seg3r.choices import ScoresAs
from seg3r.datasets.scannet_text import read_ground_truth, read_prediction
from seg3r.errors import InputError
from seg3r.metrics.instance_ap import Result, evaluate_scenes
from seg3r.metrics.protocol import Protocol


def evaluate_folder(
    gt_folder: Path,
    prediction_folder: Path,
    protocol: Protocol,
    class_agnostic: bool = False,
    scores: ScoresAs = "ranked",
) -> Result:
    """`evaluate_scenes` over every `scene.txt` of a ground-truth folder.

    Raises:
        InputError: a scene without prediction file (an empty one means no instances), or one without ground truth.
    """
    for folder in (gt_folder, prediction_folder):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder")
    names = sorted(path.stem for path in gt_folder.glob("*.txt"))
    predicted = {path.stem for path in prediction_folder.glob("*.txt")}
    if not names:
        raise InputError(f"{gt_folder} holds no ground truth (scene.txt)")
    if missing := [name for name in names if name not in predicted]:
        raise InputError(
            f"{prediction_folder} holds no {missing[0]}.txt ({len(missing)} of {len(names)} scenes are missing); "
            "an empty file means no instances"
        )
    if unknown := sorted(predicted - set(names)):
        raise InputError(f"{prediction_folder / unknown[0]}.txt has no ground truth in {gt_folder}")
    gt_ids = [read_ground_truth(gt_folder / f"{name}.txt") for name in names]
    predictions = [
        read_prediction(prediction_folder / f"{name}.txt", len(ids)) for name, ids in zip(names, gt_ids, strict=True)
    ]
    return evaluate_scenes(gt_ids, predictions, protocol, class_agnostic, scores, names)
