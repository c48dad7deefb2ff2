"""MoonSeg3R on rooms and on data sets: a map of one camera, placed on the truth in one of two ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from seg3r.api.geometry import Geometry
from seg3r.api.labelling import Preset
from seg3r.api.mapping import Progress, moonseg3r
from seg3r.api.truth import TrueRoom, truth_masks
from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import protocol_from_classes
from seg3r.evaluate.datasets import Placed
from seg3r.evaluate.instance_ap import ScenePrediction
from seg3r.evaluate.placement import LEAST_VIEWS, Ledger, aligned, unprojected
from seg3r.evaluate.run import score_runs
from seg3r.mapper import Mapper
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.rooms import CLASSES, STRUCTURAL
from seg3r.scene import SceneMap
from seg3r.segment.saved import Saved
from seg3r.sources import Recording
from seg3r.types import Camera, Frame

Placement = Literal["unprojected", "aligned"]
ROWS: dict[str, Callable[[MoonSeg3RConfig], MoonSeg3RConfig]] = {
    "2d": lambda c: replace(c, use_2d=False),
    "3d": lambda c: replace(c, use_3d=False),
    "refine": lambda c: replace(c, refine=False, memory=False),
    "memory": lambda c: replace(c, memory=False),
    "token": lambda c: replace(c, token=False),
}
"""What `without` may name: the rows of the paper's table 2, from below."""


def without_rows(without: Sequence[str], config: MoonSeg3RConfig) -> MoonSeg3RConfig:
    """The method's config without these parts."""
    for name in without:
        if name not in ROWS:
            raise InputError(f"cannot switch off {name!r}; there are: {', '.join(ROWS)}")
        config = ROWS[name](config)
    return config


@dataclass(frozen=True)
class Known:
    """What is known to be true of a recording, by frame index; None where nothing is."""

    camera: Callable[[int], Camera | None]
    depth: Callable[[int], Float32[Tensor, "H W"] | None]

    def both(self, frame_index: int) -> tuple[Float32[Tensor, "H W"], Camera] | None:
        camera = self.camera(frame_index)
        depth = None if camera is None else self.depth(frame_index)
        return None if camera is None or depth is None else (depth, camera)


class Posed:
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
    def known(self) -> Known:
        """Of the frames that went by."""
        return Known(self._cameras.get, self._depth)

    def _depth(self, frame_index: int) -> Float32[Tensor, "H W"] | None:
        return next(iter(self._recording.iterate(self._recording.position(frame_index)))).depth


@dataclass(frozen=True, eq=False)
class MappedRoom:
    """What a map of one camera says of a room's surface."""

    room: TrueRoom
    said: Mapping[Placement, Mapping[int, ScenePrediction]]
    """Placement -> frames so far -> instances."""
    scale: float | None
    """Of the similarity that brought the finished map to the truth; None: too few views, or not aligned."""
    seconds: Mapping[str, list[float]]


def measure_monocular(
    measured: Iterable[TrueRoom],
    preset: Preset = "bundled",
    masks: Literal["geometric", "truth"] = "geometric",
    reconstruct: Geometry = "cut3r",
    placement: Placement = "aligned",
    online_every: int = 0,
    config: MoonSeg3RConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Class-agnostic AP with constant scores as well as ranked ones (OnlineAnySeg's tables have constant ones).

    Args:
        placement: see `seg3r.evaluate.placement`.
        online_every: frames between two points of the online curve; 0: none.
        options: of `moonseg3r` (`refiner`, `geometry`).
    """
    mapped = []
    for room in measured:
        segment = Saved(truth_masks(room.recording)) if masks == "truth" else None
        mapper = moonseg3r(preset, config, reconstruct, segment=segment, **options)
        mapped.append(map_room(mapper, room, (placement,), online_every))
        if progress is not None:
            progress(len(mapped), len(mapper.scene))
    settings = {
        "method": "moonseg3r", "preset": preset, "masks": masks, "reconstruct": reconstruct, "placement": placement,
        "scales": [None if m.scale is None else round(m.scale, 4) for m in mapped],
    }
    return measures(mapped, placement, settings)


def map_room(
    mapper: Mapper, room: TrueRoom, placements: Sequence[Placement], online_every: int = 0
) -> MappedRoom:
    """Map a room, and place what its instances are on its surface: at the end, and every so many frames."""
    ledger, recording, vertices = kept_ledger(mapper), room.recording, room.truth.vertices
    known = Known(lambda i: recording.cameras[recording.position(i)], recording.surface)
    said: dict[Placement, dict[int, ScenePrediction]] = {placement: {} for placement in placements}
    scale = None
    for count, _ in enumerate(mapper.run(recording), 1):
        if online_every and count % online_every == 0 and count < len(recording):
            scene = mapper.result()
            for placement in placements:
                said[placement][count], _ = place(scene, ledger, known, vertices, placement)
    scene = mapper.result()
    for placement in placements:
        said[placement][len(recording)], found = place(scene, ledger, known, vertices, placement)
        scale = found if placement == "aligned" else scale
    return MappedRoom(room, said, scale, mapper.seconds)


def map_posed(
    mapper: Mapper, recording: Recording, vertices: Float[np.ndarray, "v 3"], placement: Placement,
    colour_only: bool = True,
) -> Placed:
    """Map a recording with depth and poses, and place what its instances are on the vertices of its truth.

    Args:
        colour_only: the mapper sees neither depth nor poses.
    """
    ledger, posed = kept_ledger(mapper), Posed(recording, colour_only)
    for _ in mapper.run(posed):
        pass
    scene = mapper.result()
    said, scale = place(scene, ledger, posed.known, vertices, placement)
    return Placed(scene, said, math.nan if placement == "aligned" and scale is None else scale)


def kept_ledger(mapper: Mapper) -> Ledger:
    """Of all that goes into a mapper's map from now on."""
    ledger = Ledger()
    mapper.add.stage = ledger.add  # type: ignore[assignment]  # its first argument has another name
    return ledger


def place(
    scene: SceneMap, ledger: Ledger, known: Known, vertices: Float[np.ndarray, "v 3"], placement: Placement
) -> tuple[ScenePrediction, float | None]:
    """A map on the truth; second, the scale that brought it there. Of too few views to be placed nothing is there."""
    if placement == "unprojected":
        return unprojected(scene, ledger.said, known.both, vertices), None
    if sum(known.camera(each.frame_index) is not None for each in ledger.said) < LEAST_VIEWS:
        count = len(scene)
        nowhere = [np.zeros(0, np.int64)] * count
        return ScenePrediction.from_lists(nowhere, len(vertices), np.ones(count, np.int64), np.zeros(count)), None
    said, similarity = aligned(scene, ledger.said, known.camera, vertices)
    return said, similarity.scale


def measures(mapped: Sequence[MappedRoom], placement: Placement, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation JSON of rooms in one placement."""
    names, truths = [m.room.recording.name for m in mapped], [m.room.truth for m in mapped]
    runs = [dict(m.said[placement]) for m in mapped]
    protocol = protocol_from_classes(CLASSES[1:], STRUCTURAL)
    result, curve, quality = score_runs(names, truths, runs, protocol, True, "ranked")
    answer = result.as_json(curve, dict(settings))
    constant, _, _ = score_runs(names, truths, runs, protocol, True, "constant")
    answer["constant"] = {
        name: None if value is None else round(value, 4) for name, value in constant.overall.as_json().items()
    }
    answer["purity"], answer["completeness"] = round(quality.purity, 4), round(quality.completeness, 4)
    answer["median_ms"] = {
        name: round(1e3 * float(np.median(np.concatenate([m.seconds[name] for m in mapped]))), 3)
        for name in mapped[0].seconds if any(m.seconds[name] for m in mapped)
    }
    return answer
