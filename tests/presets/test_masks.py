"""Masks that lie beside a recording."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seg3r.errors import InputError
from seg3r.presets.masks import masks_from
from seg3r.reconstruct.sensor import Sensor
from seg3r.sources import open_source
from seg3r.sources.rooms import RoomsSource
from tests.worlds import table_scene, walk, write_recording

WALKED = walk(table_scene(), 2, (60, 80))


def test_a_folder_in_the_recording_or_anywhere(tmp_path: Path) -> None:
    write_recording(tmp_path / "table", WALKED)
    recording = open_source(tmp_path / "table")
    views = [Sensor().view(frame) for frame in recording]
    for masks in ("masks_truth", tmp_path / "table" / "masks_truth"):
        segment = masks_from(recording, masks)
        assert segment is not None
        for view, (_, ids) in zip(views, WALKED, strict=True):
            shown = segment(view).masks
            assert len(shown) == len(ids.unique()) - 1 and torch.equal(shown.any(0), ids > 0)


def test_the_truth_of_a_room() -> None:
    room = RoomsSource(3, frames=1, size=(60, 80))
    segment = masks_from(room, "truth")
    assert segment is not None
    found = segment(Sensor().view(next(iter(room))))
    ids, _ = room.truth(0)
    assert len(found) == len([i for i in ids.int().unique() if i])
    assert found.names is not None and set(found.names) <= {thing.name for thing in room.room.objects}


def test_none_are_the_methods_own(tmp_path: Path) -> None:
    write_recording(tmp_path / "table", WALKED)
    recording = open_source(tmp_path / "table")
    assert masks_from(recording, None) is None
    with pytest.raises(InputError, match="masks_nobody: no such folder of masks, neither in table nor here"):
        masks_from(recording, "masks_nobody")
    with pytest.raises(InputError, match="table: holds no truth"):
        masks_from(recording, "truth")
