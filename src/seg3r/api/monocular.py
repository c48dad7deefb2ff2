"""MoonSeg3R on rooms: a map of one camera, placed on the truth in one of two ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from seg3r.api.geometry import Geometry
from seg3r.api.labelling import Preset
from seg3r.api.mapping import Progress, moonseg3r
from seg3r.api.truth import TrueRoom, truth_masks
from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import protocol_from_classes
from seg3r.evaluate.instance_ap import ScenePrediction
from seg3r.evaluate.placement import LEAST_VIEWS, Ledger, aligned, unprojected
from seg3r.evaluate.run import score_runs
from seg3r.mapper import Mapper
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.rooms import CLASSES, STRUCTURAL
from seg3r.scene import SceneMap
from seg3r.segment.saved import Saved
from seg3r.types import Camera

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
    ledger = Ledger()
    mapper.add.stage = ledger.add  # type: ignore[assignment]  # its first argument has another name
    said: dict[Placement, dict[int, ScenePrediction]] = {placement: {} for placement in placements}
    scale = None
    for count, _ in enumerate(mapper.run(room.recording), 1):
        if online_every and count % online_every == 0 and count < len(room.recording):
            scene = mapper.result()
            for placement in placements:
                said[placement][count], _ = place(scene, ledger, room, placement)
    scene = mapper.result()
    for placement in placements:
        said[placement][len(room.recording)], found = place(scene, ledger, room, placement)
        scale = found if placement == "aligned" else scale
    return MappedRoom(room, said, scale, mapper.seconds)


def place(
    scene: SceneMap, ledger: Ledger, room: TrueRoom, placement: Placement
) -> tuple[ScenePrediction, float | None]:
    """A map on the truth; second, the scale that brought it there. Of too few views to be placed nothing is there."""
    vertices, recording = room.truth.vertices, room.recording

    def camera(frame_index: int) -> Camera:
        return recording.cameras[recording.position(frame_index)]

    if placement == "unprojected":
        return unprojected(scene, ledger.said, lambda i: (recording.surface(i), camera(i)), vertices), None
    if len(ledger.said) < LEAST_VIEWS:
        return ScenePrediction.from_lists([], len(vertices), np.zeros(0, np.int64), np.zeros(0)), None
    said, similarity = aligned(scene, ledger.said, camera, vertices)
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
