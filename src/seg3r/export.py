"""A map as a folder for others to read: `scene.safetensors`, `scene.ply`, `instances.json`, `crops/`, `report.html`.

The folder appears whole or not at all: all is written beside it under another name, then the names change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seg3r.describe.colors import painted
from seg3r.describe.records import crop_path, instance_records
from seg3r.errors import InputError
from seg3r.files import check_writable, replace_folder, write_bytes, write_json
from seg3r.report import write_report
from seg3r.scene import SceneMap

FORMAT = "seg3r instances 1"
MARK = "instances.json"
"""A folder that holds it is a map's."""
CONTENT = ("scene.safetensors", "scene.ply", MARK, "crops", "report.html")
CROP_QUALITY = 92


def write_map_folder(
    scene: SceneMap,
    out: Path,
    *,
    title: str,
    figures: Mapping[str, Any],
    seconds: Mapping[str, Sequence[float]],
    settings: Mapping[str, object],
) -> None:
    """Write the map to `out`, replacing an earlier map there; other files in that folder stay.

    Args:
        title, figures, seconds, settings: of the report, see `seg3r.report.write_report`.

    Raises:
        InputError: `out` is something else than a folder for maps (see `check_out`), another run writes to it, or it
            cannot be written.
    """

    def fill(folder: Path) -> None:
        scene.save(folder / "scene.safetensors")
        write_ply(scene, folder / "scene.ply")
        write_instances(scene, folder / MARK)
        write_crops(scene, folder)
        write_report(
            folder / "report.html", scene, title=title, figures=figures, seconds=seconds, settings=settings
        )

    check_out(out)
    replace_folder(out, fill, CONTENT)


def check_out(out: Path) -> None:
    """To be asked before the long work begins: may a map be written to `out`?

    Raises:
        InputError: it is a file, a folder that holds something else than a map, the current folder or one above it,
            a mount point, or a place where nothing can be written.
    """
    target = out.resolve()
    if target.exists():
        if not target.is_dir():
            raise InputError(f"{out}: a file; name a folder for the map")
        if Path.cwd().is_relative_to(target):
            raise InputError(f"{out}: the current folder lies here and cannot be replaced; name another folder")
        if target.is_mount():
            raise InputError(f"{out}: a mount point cannot be replaced; name a folder inside it")
        if not (target / MARK).is_file() and any(target.iterdir()):
            raise InputError(f"{out}: holds files but no map ({MARK}); name a new or empty folder")
    check_writable(out, target.parent)


def write_ply(scene: SceneMap, path: Path) -> None:
    """All points as binary PLY: x y z (metres, world), nx ny nz where the map has normals, red green blue
    (`describe.colors.painted`), instance (id or -1).

    Coordinates are doubles where the world lies far from its origin, else floats. A point that several instances own
    goes to the one with the best hits / views.
    """
    real, normals = "double" if bool(scene.origin.any()) else "float", scene.normals
    vertices = np.empty(
        scene.point_count,
        [("xyz", "<f8" if real == "double" else "<f4", 3), *([("normal", "<f4", 3)] if normals is not None else []),
         ("rgb", "u1", 3), ("instance", "<i4")],
    )
    if normals is not None:
        vertices["normal"] = normals.numpy()
    # One more id than there are instances: position -1 finds "none" there.
    ids = np.append(scene.ids.numpy(), -1)
    vertices["xyz"], vertices["rgb"] = scene.world_points.numpy(), painted(scene).numpy()
    vertices["instance"] = ids[scene.best_owners.numpy()]
    properties = [
        *(f"{real} {c}" for c in "xyz"), *(f"float n{c}" for c in "xyz" if normals is not None),
        *(f"uchar {c}" for c in ("red", "green", "blue")), "int instance",
    ]
    header = [
        "ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}",
        *(f"property {p}" for p in properties), "end_header", "",
    ]
    write_bytes(path, "\n".join(header).encode("ascii") + vertices.tobytes())


def write_instances(scene: SceneMap, path: Path) -> None:
    """`instance_records` and what they rest on as JSON: the same map gives the same bytes.

    origin: from where `scene.safetensors` counts; boxes are in the world of the recording.
    """
    content = {
        "format": FORMAT,
        "frames": scene.frames,
        "points": scene.point_count,
        "voxel_m": scene.voxel_m,
        "origin": scene.origin.tolist(),
        "instances": instance_records(scene),
    }
    write_json(path, content, indent=1, sort_keys=True)


def write_crops(scene: SceneMap, folder: Path) -> None:
    """The best looks at each instance, as cut from the frames, into `folder/crops`."""
    (folder / "crops").mkdir()
    for instance_id in scene.ids.tolist():
        for n, look in enumerate(scene.sightings.get(instance_id, ())):
            Image.fromarray(look.crop.numpy()).save(folder / crop_path(instance_id, n), quality=CROP_QUALITY)
