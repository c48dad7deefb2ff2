"""MoonSeg3R on rooms: a map of one camera, placed on the truth in one of two ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from seg3r.api.geometry import Geometry
from seg3r.api.labelling import Preset
from seg3r.api.mapping import BUNDLED_MOON, Progress, moonseg3r
from seg3r.api.truth import TrueRoom, truth_masks
from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import protocol_from_classes
from seg3r.evaluate.instance_ap import ScenePrediction
from seg3r.evaluate.placement import Ledger, aligned, unprojected
from seg3r.evaluate.run import score_runs
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.rooms import CLASSES, STRUCTURAL
from seg3r.scene import SceneMap
from seg3r.segment.saved import Saved
from seg3r.sources.rooms import RoomsSource
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


def without_rows(without: Sequence[str], config: MoonSeg3RConfig = BUNDLED_MOON) -> MoonSeg3RConfig:
    """The method's config without these parts."""
    for name in without:
        if name not in ROWS:
            raise InputError(f"cannot switch off {name!r}; there are: {', '.join(ROWS)}")
        config = ROWS[name](config)
    return config


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
    names, truths, runs, seconds, scales = [], [], [], [], []
    for room in measured:
        recording, truth = room.recording, room.truth
        segment = Saved(truth_masks(recording)) if masks == "truth" else None
        mapper = moonseg3r(preset, config, reconstruct, segment=segment, **options)
        ledger = Ledger()
        mapper.add.stage = ledger.add  # type: ignore[assignment]  # its first argument has another name
        run: dict[int, ScenePrediction] = {}
        for count, _ in enumerate(mapper.run(recording), 1):
            if online_every and count % online_every == 0 and len(ledger.said) > 2:
                run[count], _ = place(mapper.result(), ledger, recording, truth.vertices, placement)
        run[len(recording)], scale = place(mapper.result(), ledger, recording, truth.vertices, placement)
        runs.append(run)
        scales.append(scale)
        names.append(recording.name)
        truths.append(truth)
        seconds.append(mapper.seconds)
        if progress is not None:
            progress(len(names), sum(len(each[max(each)]) for each in runs))
    protocol = protocol_from_classes(CLASSES[1:], STRUCTURAL)
    result, curve, quality = score_runs(names, truths, runs, protocol, True, "ranked")
    settings = {
        "method": "moonseg3r", "preset": preset, "masks": masks, "reconstruct": reconstruct, "placement": placement,
        "scales": [None if s is None else round(s, 4) for s in scales],
    }
    answer = result.as_json(curve, settings)
    constant, _, _ = score_runs(names, truths, runs, protocol, True, "constant")
    answer["constant"] = {
        name: None if value is None else round(value, 4) for name, value in constant.overall.as_json().items()
    }
    answer["purity"], answer["completeness"] = round(quality.purity, 4), round(quality.completeness, 4)
    answer["median_ms"] = {
        name: round(1e3 * float(np.median(np.concatenate([s[name] for s in seconds]))), 3)
        for name in seconds[0] if any(s[name] for s in seconds)
    }
    return answer


def place(
    scene: SceneMap, ledger: Ledger, recording: RoomsSource, vertices: Float32[np.ndarray, "v 3"], placement: Placement
) -> tuple[ScenePrediction, float | None]:
    """A map on the truth; second, the scale that brought it there."""
    if placement == "aligned":
        said, similarity = aligned(scene, ledger.said, lambda i: _camera(recording, i), vertices)
        return said, similarity.scale

    def seen(frame_index: int) -> tuple[Float32[Tensor, "H W"], Camera]:
        depth = recording.surface(frame_index)
        return depth, _camera(recording, frame_index)

    return unprojected(scene, ledger.said, seen, vertices), None


def _camera(recording: RoomsSource, frame_index: int) -> Camera:
    return recording.cameras[recording.position(frame_index)]
