"""ScanNet (Dai et al., CVPR 2017) and ScanNet200 (Rozenberszki et al., ECCV 2022).

Ids and names are those of the benchmark scripts; head, common and tail those of their `scannet200_splits.py` (66, 68
and 66 of 200; wall and floor are head). Base and novel are the split of Open3DIS (CVPR 2024): 51 classes that resemble
one of ScanNet's 20, and the others.

ScanNet: `SCENE_vh_clean_2.ply`, its segments, which of them make an object, and a table of what objects are called.

As in the benchmark's own scripts the instance of a vertex is objectId + 1 and its label a column of
`scannetv2-labels.combined.tsv`: `id` for ScanNet200, `nyu40id` for ScanNet. Vertices stay in the scan's own frame,
which is that of the camera poses (no axis alignment).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from seg3r.datasets.read import (
    instance_id,
    label_number,
    paint_segments,
    read_indices,
    read_json_key,
    read_preprocessed,
    read_table,
    read_vertices,
)
from seg3r.datasets.truth import Truth
from seg3r.errors import InputError
from seg3r.metrics.protocol import Protocol
from seg3r.reading import reading

SCANNET20 = Protocol(
    "scannet20",
    (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39),
    (
        "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter", "desk",
        "curtain", "refrigerator", "shower curtain", "toilet", "sink", "bathtub", "otherfurniture",
    ),
)
"""18 instance classes under their NYU40 ids: the 20 of the semantic benchmark without wall and floor."""

SCANNET200_HEAD = (
    "chair", "table", "door", "couch", "cabinet", "shelf", "desk", "office chair", "bed", "pillow", "sink",
    "picture", "window", "toilet", "bookshelf", "monitor", "curtain", "book", "armchair", "coffee table", "box",
    "refrigerator", "lamp", "kitchen cabinet", "towel", "clothes", "tv", "nightstand", "counter", "dresser", "stool",
    "plant", "ceiling", "bathtub", "backpack", "tv stand", "whiteboard", "shower curtain", "trash can", "closet",
    "stairs", "stove", "board", "washing machine", "mirror", "copier", "sofa chair", "file cabinet", "shower",
    "blinds", "blackboard", "radiator", "recycling bin", "wardrobe", "clothes dryer", "bathroom stall",
    "shower wall", "kitchen counter", "doorframe", "mailbox", "object", "bathroom vanity", "closet wall",
    "stair rail",
)
SCANNET200_COMMON = (
    "cushion", "end table", "dining table", "keyboard", "bag", "toilet paper", "printer", "blanket", "microwave",
    "shoe", "computer tower", "bottle", "bin", "ottoman", "bench", "basket", "fan", "laptop", "person",
    "paper towel dispenser", "oven", "rack", "piano", "suitcase", "rail", "container", "telephone", "stand", "light",
    "laundry basket", "pipe", "seat", "column", "bicycle", "ladder", "jacket", "storage bin", "coffee maker",
    "dishwasher", "machine", "mat", "windowsill", "bulletin board", "fireplace", "mini fridge", "water cooler",
    "shower door", "pillar", "ledge", "furniture", "cart", "decoration", "closet door", "vacuum cleaner",
    "dish rack", "range hood", "projector screen", "divider", "bathroom counter", "laundry hamper",
    "bathroom stall door", "ceiling light", "trash bin", "bathroom cabinet", "structure", "storage organizer",
    "potted plant", "mattress",
)
SCANNET200_TAIL = (
    "paper", "plate", "soap dispenser", "bucket", "clock", "guitar", "toilet paper holder", "speaker", "cup",
    "paper towel roll", "bar", "toaster", "ironing board", "soap dish", "toilet paper dispenser",
    "fire extinguisher", "ball", "hat", "shower curtain rod", "paper cutter", "tray", "toaster oven", "mouse",
    "toilet seat cover dispenser", "storage container", "scale", "tissue box", "light switch", "crate",
    "power outlet", "sign", "projector", "candle", "plunger", "stuffed animal", "headphones", "broom", "guitar case",
    "dustpan", "hair dryer", "water bottle", "handicap bar", "purse", "vent", "shower floor", "water pitcher",
    "bowl", "paper bag", "alarm clock", "music stand", "laundry detergent", "dumbbell", "tube", "cd case",
    "closet rod", "coffee kettle", "shower head", "keyboard piano", "case of water bottles", "coat rack",
    "folded chair", "fire alarm", "power strip", "calendar", "poster", "luggage",
)
SCANNET200_BASE = (
    "chair", "table", "door", "couch", "cabinet", "shelf", "desk", "office chair", "bed", "sink", "picture",
    "window", "toilet", "bookshelf", "curtain", "armchair", "coffee table", "refrigerator", "kitchen cabinet",
    "counter", "dresser", "ceiling", "bathtub", "end table", "dining table", "shower curtain", "closet", "ottoman",
    "bench", "sofa chair", "file cabinet", "blinds", "container", "wardrobe", "seat", "column", "shower wall",
    "kitchen counter", "mini fridge", "shower door", "pillar", "furniture", "storage container", "closet door",
    "shower floor", "bathroom counter", "closet wall", "bathroom stall door", "bathroom cabinet", "folded chair",
    "mattress",
)

_NAMES = (
    "chair", "table", "door", "couch", "cabinet", "shelf", "desk", "office chair", "bed", "pillow", "sink",
    "picture", "window", "toilet", "bookshelf", "monitor", "curtain", "book", "armchair", "coffee table", "box",
    "refrigerator", "lamp", "kitchen cabinet", "towel", "clothes", "tv", "nightstand", "counter", "dresser",
    "stool", "cushion", "plant", "ceiling", "bathtub", "end table", "dining table", "keyboard", "bag", "backpack",
    "toilet paper", "printer", "tv stand", "whiteboard", "blanket", "shower curtain", "trash can", "closet",
    "stairs", "microwave", "stove", "shoe", "computer tower", "bottle", "bin", "ottoman", "bench", "board",
    "washing machine", "mirror", "copier", "basket", "sofa chair", "file cabinet", "fan", "laptop", "shower",
    "paper", "person", "paper towel dispenser", "oven", "blinds", "rack", "plate", "blackboard", "piano",
    "suitcase", "rail", "radiator", "recycling bin", "container", "wardrobe", "soap dispenser", "telephone",
    "bucket", "clock", "stand", "light", "laundry basket", "pipe", "clothes dryer", "guitar",
    "toilet paper holder", "seat", "speaker", "column", "bicycle", "ladder", "bathroom stall", "shower wall",
    "cup", "jacket", "storage bin", "coffee maker", "dishwasher", "paper towel roll", "machine", "mat",
    "windowsill", "bar", "toaster", "bulletin board", "ironing board", "fireplace", "soap dish",
    "kitchen counter", "doorframe", "toilet paper dispenser", "mini fridge", "fire extinguisher", "ball", "hat",
    "shower curtain rod", "water cooler", "paper cutter", "tray", "shower door", "pillar", "ledge",
    "toaster oven", "mouse", "toilet seat cover dispenser", "furniture", "cart", "storage container", "scale",
    "tissue box", "light switch", "crate", "power outlet", "decoration", "sign", "projector", "closet door",
    "vacuum cleaner", "candle", "plunger", "stuffed animal", "headphones", "dish rack", "broom", "guitar case",
    "range hood", "dustpan", "hair dryer", "water bottle", "handicap bar", "purse", "vent", "shower floor",
    "water pitcher", "mailbox", "bowl", "paper bag", "alarm clock", "music stand", "projector screen", "divider",
    "laundry detergent", "bathroom counter", "object", "bathroom vanity", "closet wall", "laundry hamper",
    "bathroom stall door", "ceiling light", "trash bin", "dumbbell", "stair rail", "tube", "bathroom cabinet",
    "cd case", "closet rod", "coffee kettle", "structure", "shower head", "keyboard piano",
    "case of water bottles", "coat rack", "storage organizer", "folded chair", "fire alarm", "power strip",
    "calendar", "poster", "potted plant", "luggage", "mattress",
)

SCANNET200 = Protocol(
    "scannet200",
    (
        2, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24, 26, 27, 28, 29, 31, 32, 33, 34, 35,
        36, 38, 39, 40, 41, 42, 44, 45, 46, 47, 48, 49, 50, 51, 52, 54, 55, 56, 57, 58, 59, 62, 63, 64, 65, 66, 67,
        68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 82, 84, 86, 87, 88, 89, 90, 93, 95, 96, 97, 98, 99, 100,
        101, 102, 103, 104, 105, 106, 107, 110, 112, 115, 116, 118, 120, 121, 122, 125, 128, 130, 131, 132, 134, 136,
        138, 139, 140, 141, 145, 148, 154, 155, 156, 157, 159, 161, 163, 165, 166, 168, 169, 170, 177, 180, 185, 188,
        191, 193, 195, 202, 208, 213, 214, 221, 229, 230, 232, 233, 242, 250, 261, 264, 276, 283, 286, 300, 304, 312,
        323, 325, 331, 342, 356, 370, 392, 395, 399, 408, 417, 488, 540, 562, 570, 572, 581, 609, 748, 776, 1156,
        1163, 1164, 1165, 1166, 1167, 1168, 1169, 1170, 1171, 1172, 1173, 1174, 1175, 1176, 1178, 1179, 1180, 1181,
        1182, 1183, 1184, 1185, 1186, 1187, 1188, 1189, 1190, 1191,
    ),
    _NAMES,
    groups=(
        ("head", SCANNET200_HEAD), ("common", SCANNET200_COMMON), ("tail", SCANNET200_TAIL), ("base", SCANNET200_BASE),
        ("novel", tuple(name for name in _NAMES if name not in SCANNET200_BASE)),
    ),
    top_k=600,
)
"""198 instance classes: the 200 of ScanNet200 without wall (1) and floor (3)."""

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
            (str(g["label"]), int(g["objectId"]) + 1, np.asarray(g["segments"], np.int64).reshape(-1))
            for g in read_json_key(groups_path, "segGroups")
        ]
    groups, known = [], False
    for name, instance, members in listed:
        known = known or name in number
        groups.append((members, instance_id(number.get(name, 0), instance, groups_path)))
    if groups and not known:
        raise InputError(f"{label_table}: knows none of the labels of {groups_path}; use the table of ScanNet v2")
    return Truth(vertices, paint_segments(segments, groups))


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
