"""A map's points as binary PLY."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seg3r.describe.colors import painted
from seg3r.files import write_bytes
from seg3r.scene import SceneMap


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
