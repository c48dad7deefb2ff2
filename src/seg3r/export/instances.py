"""What is told of each instance of a map, as JSON."""

from __future__ import annotations

from pathlib import Path

from seg3r.describe.records import instance_records
from seg3r.files import write_json
from seg3r.scene import SceneMap

FORMAT = "seg3r instances 1"


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
