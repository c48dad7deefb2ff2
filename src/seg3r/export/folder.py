"""A map as a folder for others to read: `scene.safetensors`, `scene.ply`, `instances.json`, `crops/`, `report.html`.

The folder appears whole or not at all: all is written beside it under another name, then the names change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg3r.errors import InputError
from seg3r.export.crops import write_crops
from seg3r.export.instances import write_instances
from seg3r.export.ply import write_ply
from seg3r.files import check_writable, replace_folder
from seg3r.report import write_report
from seg3r.scene import SceneMap

MARK = "instances.json"
"""A folder that holds it is a map's."""
CONTENT = ("scene.safetensors", "scene.ply", MARK, "crops", "report.html")


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
