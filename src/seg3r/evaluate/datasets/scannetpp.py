"""ScanNet++: `scans/mesh_aligned_0.05.ply`, its segments, which of them make an object, and the benchmark's label map.

As in its toolkit, raw labels are mapped by `map_benchmark.csv` (semantic_map_to) before the 100 classes are looked up,
and a vertex with several labels belongs to the smallest object (here among all of its objects, there among the first
three). The instance is the object's place among those of instance classes, counted from 1; the toolkit counts all
objects from 0 and loses the one numbered 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import EXCLUDED_ID, SCANNETPP, SCANNETPP_SEMANTIC
from seg3r.evaluate.datasets.read import (
    instance_id,
    paint,
    read_indices,
    read_json,
    read_lines,
    read_table,
    read_vertices,
)
from seg3r.evaluate.run import Truth
from seg3r.reading import reading

METADATA = Path("metadata", "semantic_benchmark")


def read_scannetpp(scans: Path, metadata: Path) -> Truth:
    """The released files of one scene.

    Args:
        scans: `data/SCENE/scans`.
        metadata: the folder with `map_benchmark.csv`; if `top100.txt` lies there too, it must be the list known here.

    Raises:
        InputError: a file that is absent or malformed, segments of another mesh, or another release's class list.
    """
    mesh, groups_path = scans / "mesh_aligned_0.05.ply", scans / "segments_anno.json"
    vertices = read_vertices(mesh)
    segments = read_indices(scans / "segments.json", "segIndices")
    if segments.shape != (len(vertices),):
        raise InputError(f"{scans / 'segments.json'}: {len(segments)} segments for {len(vertices)} vertices of {mesh}")
    _check_classes(metadata / "top100.txt")
    label_of = read_label_map(metadata / "map_benchmark.csv")
    sizes = dict(zip(*(a.tolist() for a in np.unique(segments, return_counts=True)), strict=True))
    groups: list[tuple[int, list[int], int]] = []
    instances = 0
    with reading(groups_path, "groups of segments", "fetch it again"):
        listed = [
            (str(group["label"]), np.asarray(group["segments"], np.int64).reshape(-1).tolist())
            for group in read_json(groups_path, "segGroups")
        ]
    for name, members in listed:
        label = label_of.get(name)
        if label is None:
            continue
        value = 0
        if label in SCANNETPP.ids:
            instances += 1
            value = instance_id(label, instances, groups_path)
        groups.append((sum(sizes.get(s, 0) for s in set(members)), members, value))
    # The last one painted stays: large ones first, and of equal ones the earlier last.
    groups.sort(key=lambda group: group[0])
    ids = paint(segments, [(members, value) for _, members, value in reversed(groups)])
    ids[_masked(scans / "mesh_aligned_0.05_mask.txt", len(vertices))] = EXCLUDED_ID
    return Truth(vertices, ids)


def read_label_map(path: Path) -> dict[str, int]:
    """Raw label -> semantic id. A class mapped to `None` is dropped, one that is mapped to nothing keeps its name."""
    ids = {name: i for i, name in enumerate(SCANNETPP_SEMANTIC)}
    rows = read_table(path, ("class", "semantic_map_to"), ",")
    return {name: ids[target or name] for name, target in rows if (target or name) in ids}


def scannetpp_scenes(folder: Path) -> list[str]:
    """Scenes with annotations."""
    return sorted(p.parent.parent.name for p in _data(folder).glob("*/scans/segments_anno.json"))


def scannetpp_recording(folder: Path, scene: str) -> Path:
    return _data(folder) / scene / "iphone"


def scannetpp_truth(folder: Path, scene: str) -> Truth:
    return read_scannetpp(_data(folder) / scene / "scans", folder / METADATA)


def _data(folder: Path) -> Path:
    return folder / "data" if (folder / "data").is_dir() else folder


def _check_classes(path: Path) -> None:
    if path.is_file() and tuple(read_lines(path)) != SCANNETPP_SEMANTIC:
        raise InputError(f"{path}: not the 100 classes of the benchmark; use the metadata of that release")


def _masked(path: Path, vertex_count: int) -> list[int]:
    """Vertices that do not take part: one index per line, often none."""
    if not path.is_file():
        return []
    with reading(path, "one vertex index per line"):
        found = [int(line) for line in read_lines(path)]
    if found and not 0 <= min(found) <= max(found) < vertex_count:
        raise InputError(f"{path}: names vertices outside 0..{vertex_count - 1}; it belongs to another mesh")
    return found
