"""A map as a folder for others to read: `scene.safetensors`, `scene.ply`, `instances.json`, `crops/`, `report.html`.

The folder appears whole or not at all: all is written beside it under another name, then the names change.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seg3r.describe.colors import painted, point_instances
from seg3r.describe.records import crop_path, instance_records
from seg3r.errors import InputError
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
        InputError: `out` is something else than a folder for maps (see `check_out`), or cannot be written.
    """

    def fill(folder: Path) -> None:
        scene.save(folder / "scene.safetensors")
        write_ply(scene, folder / "scene.ply")
        write_instances(scene, folder / MARK)
        write_crops(scene, folder)
        write_report(
            folder / "report.html", scene, title=title, figures=figures, seconds=seconds, settings=settings
        )

    replace_folder(out, fill)


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
    above = target.parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise InputError(f"{out}: {above} is a file; name another folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{out}: no permission to write in {above}")


def replace_folder(out: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder that then takes the place of `out`. If it fails, `out` is as it was.

    Raises:
        InputError: as `check_out`, or the disk said no.
    """
    check_out(out)
    target = out.resolve()
    name = f".{target.name[:100]}.{secrets.token_hex(4)}"
    fresh, aside = target.with_name(f"{name}.new"), target.with_name(f"{name}.old")
    try:
        fresh.mkdir(parents=True)
        fill(fresh)
        _swap(fresh, target, aside)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, target: Path, aside: Path) -> None:
    """No file system renames one full folder over another: the old one steps aside for a moment."""
    if not target.exists():
        fresh.rename(target)
        return
    target.rename(aside)
    try:
        fresh.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    for entry in sorted(aside.iterdir()):
        if entry.name not in CONTENT:
            entry.rename(target / entry.name)
    shutil.rmtree(aside)


def write_ply(scene: SceneMap, path: Path) -> None:
    """All points as binary PLY: x y z (metres, world), red green blue (`describe.colors.painted`), instance (id or -1).

    A point that several instances own goes to the one with the best hits / views.
    """
    vertices = np.empty(
        scene.point_count,
        [("xyz", "<f4", 3), ("rgb", "u1", 3), ("instance", "<i4")],
    )
    # One more id than there are instances: position -1 finds "none" there.
    ids = np.append(scene.ids.numpy(), -1)
    vertices["xyz"], vertices["rgb"] = scene.points.numpy(), painted(scene).numpy()
    vertices["instance"] = ids[point_instances(scene).numpy()]
    properties = [*(f"float {c}" for c in "xyz"), *(f"uchar {c}" for c in ("red", "green", "blue")), "int instance"]
    header = [
        "ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}",
        *(f"property {p}" for p in properties), "end_header", "",
    ]
    _write(path, "\n".join(header).encode("ascii") + vertices.tobytes())


def write_instances(scene: SceneMap, path: Path) -> None:
    """`instance_records` and what they rest on as JSON: the same map gives the same bytes."""
    content = {
        "format": FORMAT,
        "frames": scene.frames,
        "points": scene.point_count,
        "voxel_m": scene.voxel_m,
        "instances": instance_records(scene),
    }
    _write(path, (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("ascii"))


def write_crops(scene: SceneMap, folder: Path) -> None:
    """The best looks at each instance, as cut from the frames, into `folder/crops`."""
    (folder / "crops").mkdir()
    for instance_id in scene.ids.tolist():
        for n, look in enumerate(scene.sightings.get(instance_id, ())):
            Image.fromarray(look.crop.numpy()).save(folder / crop_path(instance_id, n), quality=CROP_QUALITY)


def _write(path: Path, content: bytes) -> None:
    """Under a temporary name, then rename."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
