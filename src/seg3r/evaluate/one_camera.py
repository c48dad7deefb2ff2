"""MoonSeg3R on rooms and on data sets: a map of one camera, placed on the truth in one of two ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from seg3r.choices import Geometry, MaskSource, Placement
from seg3r.datasets.rooms import TrueRoom, truth_masks
from seg3r.evaluate.datasets import PlacedMap
from seg3r.evaluate.placement import LEAST_VIEWS, AssignmentLog, aligned, unprojected
from seg3r.evaluate.rooms import ROOM_PROTOCOL
from seg3r.evaluate.run import Evaluation, MappedRecording, Progress, evaluate_maps, follow
from seg3r.mapper import Mapper
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.models.query_refiner import QueryRefiner
from seg3r.presets.geometry import GeometryOptions
from seg3r.presets.mappers import moonseg3r
from seg3r.presets.preset import Preset
from seg3r.scene import SceneMap
from seg3r.segment.saved import SavedMasks
from seg3r.sources import Recording
from seg3r.types import Camera, Frame


@dataclass(frozen=True)
class TrueViews:
    """What is known to be true of a recording, by frame index; None where nothing is."""

    camera: Callable[[int], Camera | None]
    depth: Callable[[int], Float32[Tensor, "H W"] | None]

    def both(self, frame_index: int) -> tuple[Float32[Tensor, "H W"], Camera] | None:
        camera = self.camera(frame_index)
        depth = None if camera is None else self.depth(frame_index)
        return None if camera is None or depth is None else (depth, camera)


class ColourOnly:
    """A recording with depth and poses as a method for one camera may see it: its colour.

    Cameras are remembered for the judge; the depth of a long recording would fill the memory, so it is read again.
    """

    def __init__(self, recording: Recording, colour_only: bool = True) -> None:
        self._recording, self._colour_only = recording, colour_only
        self._cameras: dict[int, Camera] = {}

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._recording:
            if frame.camera is not None:
                self._cameras[frame.index] = frame.camera
            yield replace(frame, depth=None, camera=None) if self._colour_only else frame

    @property
    def known(self) -> TrueViews:
        """Of the frames that went by."""
        return TrueViews(self._cameras.get, self._depth)

    def _depth(self, frame_index: int) -> Float32[Tensor, "H W"] | None:
        return next(iter(self._recording.iterate(self._recording.position(frame_index)))).depth


@dataclass(frozen=True, eq=False)
class PlacedRoom:
    """What a map of one camera says of a room's surface."""

    room: TrueRoom
    predictions: Mapping[Placement, Mapping[int, ScenePrediction]]
    """Placement -> frames so far -> instances."""
    scale: float | None
    """Of the similarity that brought the finished map to the truth; None: too few views, or not aligned."""
    seconds: Mapping[str, Sequence[float]]

    def placed(self, placement: Placement) -> MappedRecording:
        """In one placement."""
        return MappedRecording(
            self.room.recording.name, self.room.truth, self.predictions[placement], self.seconds
        )


def measure_monocular(
    rooms: Iterable[TrueRoom],
    preset: Preset,
    config: MoonSeg3RConfig | None = None,
    *,
    masks: MaskSource = "geometric",
    reconstruct: Geometry = "cut3r",
    geometry: GeometryOptions | None = None,
    refiner: QueryRefiner | None = None,
    placement: Placement = "aligned",
    online_every: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Class-agnostic AP with constant scores as well as ranked ones (OnlineAnySeg's tables have constant ones).

    Args:
        masks: truth: perfect ones.
        placement: see `seg3r.evaluate.placement`.
        online_every: frames between two points of the online curve; 0: none.
    """
    placed = []
    for room in rooms:
        segment = SavedMasks(truth_masks(room.recording)) if masks == "truth" else None
        mapper = moonseg3r(
            preset, config, reconstruct=reconstruct, geometry=geometry, refiner=refiner, segment=segment
        )
        placed.append(place_room(mapper, room, (placement,), online_every))
        if progress is not None:
            progress(len(placed), len(mapper.scene))
    return measures(placed, placement, {
        "method": "moonseg3r", "preset": preset.name, "masks": masks, "reconstruct": reconstruct,
        "placement": placement, "scales": [None if p.scale is None else round(p.scale, 4) for p in placed],
    })


def place_room(
    mapper: Mapper, room: TrueRoom, placements: Sequence[Placement], online_every: int = 0
) -> PlacedRoom:
    """Map a room, and place what its instances are on its surface: at the end, and every so many frames."""
    log, recording, vertices = log_assignments(mapper), room.recording, room.truth.vertices
    known = TrueViews(lambda i: recording.cameras[recording.position(i)], recording.surface)
    predictions: dict[Placement, dict[int, ScenePrediction]] = {placement: {} for placement in placements}
    scale: float | None = None

    def visit(count: int, scene: SceneMap) -> None:
        nonlocal scale
        for placement in placements:
            predictions[placement][count], found = place_map(scene, log, known, vertices, placement)
            scale = found if placement == "aligned" else scale

    visit(len(recording), follow(mapper, recording, online_every, visit))
    return PlacedRoom(room, predictions, scale, mapper.seconds)


def map_posed(
    mapper: Mapper, recording: Recording, vertices: Float[np.ndarray, "v 3"], placement: Placement,
    colour_only: bool = True,
) -> PlacedMap:
    """Map a recording with depth and poses, and place what its instances are on the vertices of its truth.

    Args:
        colour_only: the mapper sees neither depth nor poses.
    """
    log, posed = log_assignments(mapper), ColourOnly(recording, colour_only)
    scene = follow(mapper, posed)
    prediction, scale = place_map(scene, log, posed.known, vertices, placement)
    return PlacedMap(scene, prediction, math.nan if placement == "aligned" and scale is None else scale)


def log_assignments(mapper: Mapper) -> AssignmentLog:
    """Of all that goes into a mapper's map from now on."""
    log = AssignmentLog()
    mapper.observers.append(log)
    return log


def place_map(
    scene: SceneMap, log: AssignmentLog, known: TrueViews, vertices: Float[np.ndarray, "v 3"], placement: Placement
) -> tuple[ScenePrediction, float | None]:
    """A map on the truth; second, the scale that brought it there. Of too few views to be placed nothing is there."""
    if placement == "unprojected":
        return unprojected(scene, log.views, known.both, vertices), None
    if sum(known.camera(each.frame_index) is not None for each in log.views) < LEAST_VIEWS:
        count = len(scene)
        nowhere = [np.zeros(0, np.int64)] * count
        return ScenePrediction.from_lists(nowhere, len(vertices), np.ones(count, np.int64), np.zeros(count)), None
    prediction, similarity = aligned(scene, log.views, known.camera, vertices)
    return prediction, similarity.scale


def measures(placed: Sequence[PlacedRoom], placement: Placement, settings: Mapping[str, Any]) -> Evaluation:
    """Of rooms in one placement."""
    return evaluate_maps([p.placed(placement) for p in placed], ROOM_PROTOCOL, True, settings, constant_too=True)
