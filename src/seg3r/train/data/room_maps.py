"""Rooms as the mapper sees them: seed -> SceneMap, and which thing of the room each instance is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from scipy.spatial import cKDTree

from seg3r.files import write_json
from seg3r.id_maps import IdMap
from seg3r.methods.opentrack3d import opentrack3d
from seg3r.metrics.majority import majority_labels
from seg3r.rooms import labelled_cloud
from seg3r.scene import SceneMap
from seg3r.segment.saved import SavedMasks
from seg3r.sources.rooms import RoomsSource

NEAR_M = 0.05
"""A point of the map stands for the nearest point of the room within so much."""


@dataclass(frozen=True, eq=False)
class MappedRoom:
    """A finished map, and the truth about it."""

    seed: int
    scene: SceneMap
    thing_of: dict[int, int]
    """Instance -> id of the thing it mostly is; 0 = none (a wall, a mixture)."""


def map_room(seed: int, masks: str, frames: int = 60, size: tuple[int, int] = (240, 320)) -> MappedRoom:
    """Map one room from noisy depth.

    Args:
        masks: `truth`, or `geometric` for the method's own segmenter.
        size: (H, W).
    """
    recording = RoomsSource(seed, frames=frames, size=size, depth="noisy")

    def read(frame_index: int) -> IdMap:
        ids, names = recording.truth(frame_index)
        return IdMap(ids.long(), f"{recording.name} frame {frame_index}", names)

    mapper = opentrack3d(segment=SavedMasks(read) if masks == "truth" else None)
    for frame in recording:
        mapper.step(frame)
    scene = mapper.refined()
    points, instances, _, _ = labelled_cloud(recording.room, recording.cameras)
    return MappedRoom(seed, scene, things_of(scene, points, instances))


def things_of(
    scene: SceneMap, points: Float32[np.ndarray, "n 3"], instances: Int[np.ndarray, "n"]
) -> dict[int, int]:
    """Which labelled thing each instance mostly is.

    Args:
        points: of a labelled cloud in the map's world.
        instances: its labels, 0 = no thing.
    """
    distance, nearest = cKDTree(points).query(scene.points.numpy(), distance_upper_bound=NEAR_M)
    label = np.append(instances, 0)[np.where(np.isfinite(distance), nearest, len(instances))]
    ids = scene.ids.tolist()
    return dict(zip(ids, majority_labels((scene.points_of(i)[0].numpy() for i in ids), label), strict=True))


def save_room(room: MappedRoom, folder: Path) -> None:
    """Two files; the second appears last, so that a room is whole or not there."""
    room.scene.save(folder / f"{room.seed}.safetensors")
    write_json(folder / f"{room.seed}.json", {str(i): thing for i, thing in room.thing_of.items()})


def load_room(seed: int, folder: Path) -> MappedRoom:
    """What `save_room` wrote."""
    thing_of = {int(i): int(t) for i, t in json.loads((folder / f"{seed}.json").read_text()).items()}
    return MappedRoom(seed, SceneMap.load(folder / f"{seed}.safetensors"), thing_of)


def is_mapped(seed: int, folder: Path) -> bool:
    """Whether `load_room` finds it."""
    return (folder / f"{seed}.json").is_file()


def map_rooms(
    seeds: Sequence[int], masks: str, folder: Path, progress: Callable[[int, int], None] | None = None
) -> None:
    """Map those that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for done, seed in enumerate(seeds, 1):
        if not is_mapped(seed, folder):
            save_room(map_room(seed, masks), folder)
        if progress is not None:
            progress(done, len(seeds))
