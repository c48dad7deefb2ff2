"""SceneFun3D (Delitzas et al., CVPR 2024): functional elements, some of a few points only.

SceneFun3D: `VISIT_laser_scan.ply` and lists of its points that make a functional element.

As in its toolkit, an annotation's label is one of nine affordances or `exclude` (bad geometry: those points are cut);
where annotations overlap the later one holds the point, and an excluded point stays excluded (in task 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from seg3r.datasets.read import instance_id, read_json_key, read_vertices
from seg3r.datasets.truth import Truth
from seg3r.errors import InputError
from seg3r.metrics.protocol import EXCLUDED_ID, Protocol
from seg3r.reading import quoted, read_npy, reading
from seg3r.text import well_formed

SCENEFUN3D = Protocol(
    "scenefun3d",
    tuple(range(1, 10)),
    (
        "rotate", "key_press", "tip_push", "hook_pull", "pinch_pull", "hook_turn", "foot_push", "plug_in", "unplug",
    ),
    min_region=1, void="wrong", excluded_id=EXCLUDED_ID,
)
"""Task 1, functionality segmentation: 9 affordances."""

SCENEFUN3D_QUERIES = Protocol(
    "scenefun3d-queries", (1,), ("functional_element",), min_region=1, void="wrong", excluded_id=EXCLUDED_ID
)
"""Task 2, grounding: the elements that one task description asks for."""

EXCLUDE = "exclude"


@dataclass(frozen=True, eq=False)
class Query:
    """A task in words, and the elements one would touch for it."""

    name: str
    text: str
    ids: Int64[np.ndarray, "v"]
    """1000 + element (protocol `SCENEFUN3D_QUERIES`), over the vertices of the scan."""


@dataclass(frozen=True, eq=False)
class _Annotation:
    name: str
    label: str
    points: Int64[np.ndarray, "..."]


def read_scenefun3d(visit: Path, crop: bool = False) -> Truth:
    """Task 1 of one visit.

    Args:
        visit: its folder, named by its number.
        crop: keep only the points of `VISIT_crop_mask.npy`. The benchmark counts all of them.

    Raises:
        InputError: a file that is absent or malformed, or a label that is no affordance.
    """
    vertices = read_vertices(visit / f"{visit.name}_laser_scan.ply")
    path = visit / f"{visit.name}_annotations.json"
    number = dict(zip(SCENEFUN3D.names, SCENEFUN3D.ids, strict=True))
    annotations = _annotations(path, len(vertices))
    ids = np.zeros(len(vertices), np.int64)
    for instance, one in enumerate((a for a in annotations if a.label != EXCLUDE), 1):
        if one.label not in number:
            raise InputError(f"{path}: label {quoted(one.label)} is none of the nine affordances nor {EXCLUDE!r}")
        ids[one.points] = instance_id(number[one.label], instance, path)
    _exclude(ids, annotations)
    kept = _crop(visit, len(vertices)) if crop else slice(None)
    return Truth(vertices[kept], ids[kept])


def read_queries(visit: Path, crop: bool = False) -> tuple[Float[np.ndarray, "v 3"], list[Query]]:
    """Task 2 of one visit: the points of the scan, and every description with the elements it means.

    As in the toolkit, the elements that a description means are written over the excluded points, not under them.
    """
    path = visit / f"{visit.name}_descriptions.json"
    vertices = read_vertices(visit / f"{visit.name}_laser_scan.ply")
    annotations = _annotations(visit / f"{visit.name}_annotations.json", len(vertices))
    by_name = {one.name: one for one in annotations}
    kept = _crop(visit, len(vertices)) if crop else slice(None)
    queries = []
    with reading(path, "descriptions of annotations", "fetch it again"):
        entries = [
            (str(e["desc_id"]), well_formed(str(e["description"])), [by_name[str(a)] for a in e["annot_id"]])
            for e in read_json_key(path, "descriptions")
        ]
    for name, text, meant in entries:
        ids = np.zeros(len(vertices), np.int64)
        _exclude(ids, annotations)
        for instance, one in enumerate(meant, 1):
            ids[one.points] = instance_id(1, instance, path)
        queries.append(Query(name, text, ids[kept]))
    return vertices[kept], queries


def scenefun3d_scenes(folder: Path) -> list[str]:
    """Visits with annotations."""
    return sorted(p.parent.name for p in folder.glob("*/*_annotations.json") if p.name.startswith(p.parent.name))


def scenefun3d_recording(folder: Path, scene: str) -> Path:
    """The visit's first video with frames."""
    videos = sorted(p.parent for p in (folder / scene).glob("*/hires_wide"))
    if not videos:
        raise InputError(f"{folder / scene}: no video in it (VIDEO/hires_wide); fetch the asset hires_wide")
    return videos[0]


def scenefun3d_truth(folder: Path, scene: str) -> Truth:
    return read_scenefun3d(folder / scene)


def _annotations(path: Path, vertex_count: int) -> list[_Annotation]:
    with reading(path, "annotations", "fetch it again"):
        return [_annotation(entry, path, vertex_count) for entry in read_json_key(path, "annotations")]


def _annotation(entry: Any, path: Path, vertex_count: int) -> _Annotation:
    points = np.asarray(entry["indices"], np.int64).reshape(-1)
    name, label = str(entry["annot_id"]), str(entry["label"])
    if len(points) and not 0 <= points.min() <= points.max() < vertex_count:
        scan = f"0..{vertex_count - 1}, of another scan"
        raise InputError(f"{path}: annotation {quoted(name)} names points outside {scan}")
    return _Annotation(name, label, points)


def _exclude(ids: Int64[np.ndarray, "v"], annotations: Iterable[_Annotation]) -> None:
    for one in annotations:
        if one.label == EXCLUDE:
            ids[one.points] = EXCLUDED_ID


def _crop(visit: Path, vertex_count: int) -> Bool[np.ndarray, "v"]:
    path = visit / f"{visit.name}_crop_mask.npy"
    with reading(path, "a mask over points", "fetch the asset crop_mask"):
        mask = read_npy(path)
    if mask.shape != (vertex_count,):
        raise InputError(f"{path}: of shape {mask.shape}, expected one value for each of {vertex_count} points")
    return np.asarray(mask, np.bool_)
