"""Pictures of the instances of a map. They go into a folder that takes its place whole, see `export.folder`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from seg3r.describe.records import crop_path
from seg3r.scene import SceneMap

CROP_QUALITY = 92


def write_crops(scene: SceneMap, folder: Path) -> None:
    """The best views of each instance, as cut from the frames, into `folder/crops`."""
    (folder / "crops").mkdir()
    for instance_id in scene.ids.tolist():
        for n, sighting in enumerate(scene.sightings.get(instance_id, ())):
            Image.fromarray(sighting.crop.numpy()).save(folder / crop_path(instance_id, n), quality=CROP_QUALITY)
