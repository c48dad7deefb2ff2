"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seg3r.datasets import replica, scannet, scannetpp, scenefun3d
from seg3r.datasets.replica import REPLICA
from seg3r.datasets.scannet import SCANNET20, SCANNET200
from seg3r.datasets.scannetpp import SCANNETPP
from seg3r.datasets.scenefun3d import SCENEFUN3D
from seg3r.datasets.truth import Truth
from seg3r.errors import InputError
from seg3r.metrics.protocol import Protocol


@dataclass(frozen=True)
class Dataset:
    """How a benchmark lies in a folder."""

    name: str
    protocol: Protocol
    every: int
    """Stride over its frames that is usual (docs/opentrack3d.md, 3.12)."""
    looked_for: str
    """What marks a scene, for the error where there is none."""
    scenes: Callable[[Path], list[str]]
    """Names of the scenes with truth in a folder."""
    recording: Callable[[Path, str], Path]
    """Where a scene's frames lie."""
    truth: Callable[[Path, str], Truth]


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "scannet200", SCANNET200, 10, "SCENE/SCENE_vh_clean_2.ply with SCENE.aggregation.json",
            scannet.scannet_scenes, scannet.scannet_recording, scannet.scannet200_truth,
        ),
        Dataset(
            "scannet20", SCANNET20, 10, "SCENE/SCENE_vh_clean_2.ply with SCENE.aggregation.json",
            scannet.scannet_scenes, scannet.scannet_recording, scannet.scannet20_truth,
        ),
        Dataset(
            "replica", REPLICA, 10,
            "frames in SCENE/results, ground_truth/SCENE.txt with SCENE_mesh.ply or SCENE/habitat/mesh_semantic.ply",
            replica.replica_scenes, replica.replica_recording, replica.replica_truth,
        ),
        Dataset(
            "scannetpp", SCANNETPP, 10, "data/SCENE/scans/segments_anno.json",
            scannetpp.scannetpp_scenes, scannetpp.scannetpp_recording, scannetpp.scannetpp_truth,
        ),
        Dataset(
            "scenefun3d", SCENEFUN3D, 5, "VISIT/VISIT_annotations.json",
            scenefun3d.scenefun3d_scenes, scenefun3d.scenefun3d_recording, scenefun3d.scenefun3d_truth,
        ),
    )
}


def dataset_called(name: str) -> Dataset:
    """Raises InputError for a name that is none of them."""
    if name not in DATASETS:
        raise InputError(f"no data set {name!r}; there are: {', '.join(DATASETS)}")
    return DATASETS[name]
