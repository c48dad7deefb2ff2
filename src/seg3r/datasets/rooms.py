"""What is known to be true of a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from seg3r.datasets.read import finite_points, read_vertices
from seg3r.datasets.scannet_text import read_ground_truth
from seg3r.datasets.truth import Truth
from seg3r.errors import InputError
from seg3r.id_maps import IdMap, folder_reader
from seg3r.reading import read_npy, reading
from seg3r.rooms import labelled_cloud, renderer_of, split_seeds
from seg3r.rooms.cloud import sample_surface, seen_by
from seg3r.sources import Recording
from seg3r.sources.rooms import RoomsSource

SURFACE_M = 0.02
"""Between the samples of a room's surface that make its superpoints."""


@dataclass(frozen=True, eq=False)
class TrueRoom:
    """A recording of a room, and its labelled surface."""

    recording: RoomsSource
    truth: Truth


def true_rooms(
    split: str, rooms: int, start: int = 0, frame_count: int = 60, size: tuple[int, int] = (240, 320),
    depth: str = "noisy", keep: bool = False,
) -> Iterator[TrueRoom]:
    """Rooms of a split, one after another.

    Args:
        size: (H, W).
        keep: their frames are remembered once rendered.
    """
    for seed in split_seeds(split, rooms, start):
        recording = RoomsSource(seed, frames=frame_count, size=size, depth=depth, keep=keep)
        truth = truth_surface(recording)
        assert truth is not None
        yield TrueRoom(recording, truth)


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
    if not points.is_file():
        raise InputError(f"{points}: no such file")
    if points.suffix.lower() not in (".npy", ".ply"):
        raise InputError(f"{points}: points come as .ply or .npy")
    if points.suffix.lower() == ".npy":
        with reading(points, "an array of points"):
            vertices = finite_points(read_npy(points))
    else:
        vertices = read_vertices(points)
    labels = read_ground_truth(ids)
    if len(labels) != len(vertices):
        raise InputError(f"{ids}: {len(labels)} ids for the {len(vertices)} points of {points}")
    return Truth(vertices, labels.astype(np.int64))


def surface_superpoints(recording: RoomsSource) -> tuple[Float32[Tensor, "v 3"], Int64[Tensor, "v"]]:
    """Vertices and superpoints of a room's own surface, as far as its cameras see it: what a flawless scan would give.

    What they do not see would join what a scan parts: the wall behind a window's pane runs on to both sides of it.
    """
    from seg3r.superpoints.cloud import cloud_superpoints  # a run without superpoints does not import it

    samples = sample_surface(recording.room, SURFACE_M)
    seen = seen_by(recording.room, samples, recording.cameras)
    points = samples.points[seen]
    normals = renderer_of(recording.room).face_normals[samples.face[seen]].astype(np.float32)
    labels = cloud_superpoints(points, normals)
    return torch.from_numpy(points), torch.from_numpy(labels)
