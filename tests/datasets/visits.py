"""A room as a visit of SceneFun3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seg3r.datasets.rooms import true_rooms
from seg3r.geometry import transform, unproject
from tests.datasets import lookalikes
from tests.sources import layouts


def write_visit(folder: Path) -> list[str]:
    """A room's frames as a visit of SceneFun3D, the scan what the first frame sees; each thing is to be found by its
    name. What it asks."""
    (room,) = true_rooms("val", 1, 0, 8, (90, 120), "clean")
    frames = list(room.recording)[:3]
    first = frames[0]
    assert first.camera is not None and first.depth is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "SIZE", first.camera.size)
        patch.setattr(layouts, "K", first.camera.K.numpy())
        layouts.write_scenefun3d(folder / "421254" / "42445132", [
            layouts.Moment(f.rgb.numpy(), f.depth.double().numpy(), f.camera.T_world_cam.numpy(), f.index / 10)
            for f in frames if f.camera is not None and f.depth is not None
        ])
    scan = transform(first.camera.T_world_cam, unproject(first.depth, first.camera.K)[first.depth > 0]).numpy()
    ids = room.recording.truth(0)[0][first.depth > 0].numpy()
    shown = [(o.name, np.flatnonzero(ids == o.id).tolist()) for o in room.recording.room.objects if (ids == o.id).any()]
    asked = [f"the {name}" for name, _ in shown]
    lookalikes.write_scenefun3d(
        folder, "421254", scan, [("rotate", own) for _, own in shown], [(text, [i]) for i, text in enumerate(asked)]
    )
    return asked
