"""ScanNet++ (Yeshwanth et al., ICCV 2023): the two lists of its benchmark, `top100.txt` and `top100_instance.txt`.

ScanNet++: `scans/mesh_aligned_0.05.ply`, its segments, which of them make an object, and the benchmark's label map.

As in its toolkit, raw labels are mapped by `map_benchmark.csv` (semantic_map_to) before the 100 classes are looked up,
and a vertex with several labels belongs to the smallest object (here among all of its objects, there among the first
three). The instance is the object's place among those of instance classes, counted from 1; the toolkit counts all
objects from 0 and loses the one numbered 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seg3r.datasets.read import (
    instance_id,
    paint_segments,
    read_indices,
    read_json_key,
    read_lines,
    read_table,
    read_vertices,
)
from seg3r.datasets.truth import Truth
from seg3r.errors import InputError
from seg3r.metrics.protocol import EXCLUDED_ID, Protocol
from seg3r.reading import reading

SCANNETPP_SEMANTIC = (
    "wall", "ceiling", "floor", "table", "door", "ceiling lamp", "cabinet", "blinds", "curtain", "chair",
    "storage cabinet", "office chair", "bookshelf", "whiteboard", "window", "box", "window frame", "monitor",
    "shelf", "doorframe", "pipe", "heater", "kitchen cabinet", "sofa", "windowsill", "bed", "shower wall",
    "trash can", "book", "plant", "blanket", "tv", "computer tower", "kitchen counter", "refrigerator", "jacket",
    "electrical duct", "sink", "bag", "picture", "pillow", "towel", "suitcase", "backpack", "crate", "keyboard",
    "rack", "toilet", "paper", "printer", "poster", "painting", "microwave", "board", "shoes", "socket", "bottle",
    "bucket", "cushion", "basket", "shoe rack", "telephone", "file folder", "cloth", "blind rail", "laptop",
    "plant pot", "exhaust fan", "cup", "coat hanger", "light switch", "speaker", "table lamp", "air vent",
    "clothes hanger", "kettle", "smoke detector", "container", "power strip", "slippers", "paper bag", "mouse",
    "cutting board", "toilet paper", "paper towel", "pot", "clock", "pan", "tap", "jar", "soap dispenser", "binder",
    "bowl", "tissue box", "whiteboard eraser", "toilet brush", "spray bottle", "headphones", "stapler", "marker",
)
"""100 classes; the id of a class is its place, counted from 0."""

_NO_INSTANCES = (
    "wall", "ceiling", "floor", "window frame", "doorframe", "pipe", "windowsill", "shower wall", "kitchen counter",
    "electrical duct", "paper", "board", "cloth", "blind rail", "air vent", "clothes hanger",
)

SCANNETPP = Protocol(
    "scannetpp",
    tuple(i for i, name in enumerate(SCANNETPP_SEMANTIC) if name not in _NO_INSTANCES),
    tuple(name for name in SCANNETPP_SEMANTIC if name not in _NO_INSTANCES),
    excluded_id=EXCLUDED_ID,
)
"""84 instance classes under their semantic ids. Vertices of the mesh's mask file (anonymised people) are cut."""

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
            for group in read_json_key(groups_path, "segGroups")
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
    ids = paint_segments(segments, [(members, value) for _, members, value in reversed(groups)])
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
