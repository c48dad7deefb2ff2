"""What is known to be true of a recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from seg3r.errors import InputError
from seg3r.evaluate.run import Truth
from seg3r.rooms import labelled_cloud
from seg3r.segment.saved import IdMap, folder_reader
from seg3r.sources import Recording
from seg3r.sources.rooms import RoomsSource


def truth_masks(recording: Recording) -> Callable[[int], IdMap | None]:
    """Reader of a recording's true id maps.

    Raises:
        InputError: the recording has none.
    """
    if isinstance(recording, RoomsSource):
        room = recording

        def read(frame_index: int) -> IdMap:
            ids, names = room.truth(frame_index)
            return IdMap(ids.to(torch.int64), f"{room.name} frame {frame_index}", names)

        return read
    if recording.root is not None and (recording.root / "truth" / "instances").is_dir():
        return folder_reader(recording.root / "truth" / "instances", recording.stem)
    raise InputError(f"{recording.name}: holds no truth; `--masks truth` works on rooms")


def truth_surface(recording: Recording) -> Truth | None:
    """The labelled surface of a recording, where there is one."""
    if isinstance(recording, RoomsSource):
        points, instances, classes, seen = labelled_cloud(recording.room, recording.cameras)
        ids = np.where(instances > 0, classes.astype(np.int64) * 1000 + instances, 0)
        return Truth(np.asarray(points[seen], np.float32), ids[seen].astype(np.int64))
    folder = None if recording.root is None else recording.root / "truth"
    if folder is None or not (folder / "cloud.ply").is_file() or not (folder / "ids.txt").is_file():
        return None
    return read_truth(folder / "cloud.ply", folder / "ids.txt")


def read_truth(points: Path, ids: Path) -> Truth:
    """Points from .ply or .npy, ids from a text file with one label * 1000 + instance per point."""
    from seg3r.evaluate.files import read_ground_truth

    if not points.is_file():
        raise InputError(f"{points}: no such file")
    if points.suffix == ".npy":
        vertices = np.load(points, allow_pickle=False)
    else:
        import trimesh

        vertices = np.asarray(trimesh.load(points, process=False).vertices)  # type: ignore[attr-defined]
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise InputError(f"{points}: expected n x 3 coordinates, got {'x'.join(map(str, vertices.shape))}")
    labels = read_ground_truth(ids)
    if len(labels) != len(vertices):
        raise InputError(f"{ids}: {len(labels)} ids for the {len(vertices)} points of {points}")
    return Truth(vertices.astype(np.float32), labels.astype(np.int64))
