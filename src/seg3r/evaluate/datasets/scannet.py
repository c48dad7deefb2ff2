"""ScanNet: `SCENE_vh_clean_2.ply`, its segments, which of them make an object, and a table of what objects are called.

As in the benchmark's own scripts the instance of a vertex is objectId + 1 and its label a column of
`scannetv2-labels.combined.tsv`: `id` for ScanNet200, `nyu40id` for ScanNet. Vertices stay in the scan's own frame,
which is that of the camera poses (no axis alignment).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from seg3r.errors import InputError
from seg3r.evaluate.datasets.read import (
    instance_id,
    label_number,
    paint,
    read_indices,
    read_json,
    read_preprocessed,
    read_table,
    read_vertices,
)
from seg3r.evaluate.run import Truth
from seg3r.reading import printable, reading

LABEL_TABLE = "scannetv2-labels.combined.tsv"
_GROUND_TRUTH = (Path("ground_truth"), Path("instance_gt", "validation"))
"""Where Mask3D, OpenMask3D and OpenYOLO3D put `SCENE.txt`."""
_LARGEST_NYU40 = 40


def read_scannet(scene: Path, label_table: Path, column: Literal["id", "nyu40id"]) -> Truth:
    """The released files of one scene.

    Raises:
        InputError: a file that is absent or malformed, segments of another mesh, or no label that the table knows.
    """
    vertices = read_vertices(mesh_of(scene))
    segments_path, groups_path = _segments_of(scene), _groups_of(scene)
    segments = read_indices(segments_path, "segIndices")
    if segments.shape != (len(vertices),):
        raise InputError(f"{segments_path}: {len(segments)} segments for {len(vertices)} vertices of {mesh_of(scene)}")
    with reading(label_table, "a table of labels"):
        rows = read_table(label_table, ("raw_category", column), "\t")
        number = {name: label_number(value) for name, value in rows if value}
    with reading(groups_path, "groups of segments", "fetch it again"):
        listed = [
            (printable(str(g["label"])), int(g["objectId"]) + 1, np.asarray(g["segments"], np.int64).reshape(-1))
            for g in read_json(groups_path, "segGroups")
        ]
    groups, known = [], False
    for name, instance, members in listed:
        known = known or name in number
        groups.append((members, instance_id(number.get(name, 0), instance, groups_path)))
    if groups and not known:
        raise InputError(f"{label_table}: knows none of the labels of {groups_path}; use the table of ScanNet v2")
    return Truth(vertices, paint(segments, groups))


def scannet_scenes(folder: Path) -> list[str]:
    """Scenes with a mesh and with truth in one of the two layouts."""
    return sorted(
        scene.name for scene in _scans(folder).iterdir()
        if mesh_of(scene).is_file() and (_groups_of(scene).is_file() or _text_of(folder, scene.name) is not None)
    )


def scannet_recording(folder: Path, scene: str) -> Path:
    """The scene's folder: it holds `SCENE.sens`, or what was exported from it."""
    return _scans(folder) / scene


def scannet200_truth(folder: Path, scene: str) -> Truth:
    return _truth(folder, scene, "id")


def scannet20_truth(folder: Path, scene: str) -> Truth:
    return _truth(folder, scene, "nyu40id")


def _truth(folder: Path, scene: str, column: Literal["id", "nyu40id"]) -> Truth:
    path = _scans(folder) / scene
    if _groups_of(path).is_file():
        places = [place / LABEL_TABLE for place in (folder, _scans(folder), path)]
        return read_scannet(path, next((p for p in places if p.is_file()), places[0]), column)
    text = _text_of(folder, scene)
    if text is None:
        raise InputError(f"{path}: holds no {_groups_of(path).name}, and {folder / _GROUND_TRUTH[0]} no {scene}.txt")
    truth = read_preprocessed(mesh_of(path), text)
    if column == "nyu40id" and len(truth.ids) and int(truth.ids.max()) // 1000 > _LARGEST_NYU40:
        raise InputError(f"{text}: holds labels above {_LARGEST_NYU40}, those of ScanNet200; measure it as scannet200")
    return truth


def mesh_of(scene: Path) -> Path:
    return scene / f"{scene.name}_vh_clean_2.ply"


def _segments_of(scene: Path) -> Path:
    return scene / f"{scene.name}_vh_clean_2.0.010000.segs.json"


def _groups_of(scene: Path) -> Path:
    return scene / f"{scene.name}.aggregation.json"


def _text_of(folder: Path, scene: str) -> Path | None:
    return next((p for place in _GROUND_TRUTH if (p := folder / place / f"{scene}.txt").is_file()), None)


def _scans(folder: Path) -> Path:
    return folder / "scans" if (folder / "scans").is_dir() else folder
