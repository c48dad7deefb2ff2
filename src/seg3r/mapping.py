"""A mapper and a recording -> a map folder, with checkpoints on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from seg3r.datasets.truth import Truth
from seg3r.describe.best_views import best_views
from seg3r.errors import InputError
from seg3r.evaluate.run import CURVE_EVERY, REACH, MappedRecording, Progress, evaluate_maps, predict
from seg3r.export import CONTENT, check_out, write_map_folder
from seg3r.files import clear_left_over
from seg3r.label.label_map import label_map
from seg3r.label.vocabulary import Vocabulary
from seg3r.lock import sole_writer
from seg3r.mapper import Mapper
from seg3r.metrics.protocol import THINGS
from seg3r.protocols import Labeler, Reconstructor, Reports
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.odometry import Odometry
from seg3r.resume import Checkpoints
from seg3r.scene import SceneMap
from seg3r.sources import Recording

CHECKPOINT_S = 10.0
"""Seconds of work that a crash may cost."""


def map_recording(
    mapper: Mapper,
    recording: Recording,
    out: str | Path,
    *,
    settings: Mapping[str, object] | None = None,
    resume: bool = False,
    truth: Truth | None = None,
    progress: Progress | None = None,
    labeler: Labeler | None = None,
    vocabulary: Vocabulary | None = None,
) -> tuple[SceneMap, dict[str, Any]]:
    """Map a recording into a folder; returns the refined map and the run's figures.

    While it runs, a checkpoint lies in a hidden folder beside `out`; `out` itself appears whole, at the end.

    Args:
        settings: what makes two runs the same run (`resume` refuses to continue another), shown on the report;
            "method" is its title.
        truth: if known, the folder's report shows the online curve.
        labeler: names the instances of the finished map; None: they keep the names that came with the masks.
        vocabulary: the words to name them with; None: words of the labeler's own.

    Raises:
        InputError: unusable `out`, another run that writes to it, nothing usable in the recording, or a checkpoint of
            another run.
    """
    target = Path(out).expanduser()
    check_out(target)
    with sole_writer(target):
        clear_left_over(target, CONTENT)
        return _map_into(target, mapper, recording, settings or {}, resume, truth, progress, labeler, vocabulary)


def _map_into(
    target: Path, mapper: Mapper, recording: Recording, settings: Mapping[str, object], resume: bool,
    truth: Truth | None, progress: Progress | None, labeler: Labeler | None, vocabulary: Vocabulary | None,
) -> tuple[SceneMap, dict[str, Any]]:
    """`map_recording`, where nobody else writes."""
    checkpoints = Checkpoints(target)
    start = checkpoints.begin(mapper, recording, settings, resume)
    had = mapper.scene.frames
    try:
        curve = _map(mapper, recording, start, checkpoints, truth, progress)
        if mapper.scene.frames == 0:
            raise InputError(f"{recording.name}: {_why_nothing(recording, mapper.reconstruct)}")
    except InputError:
        checkpoints.remove(unless_resumable=True)
        raise
    scene = mapper.refined()
    for instance_id in scene.ids.tolist():
        scene.sightings[instance_id] = best_views(scene, instance_id, len(scene.sightings.get(instance_id, ())))
    labelling = time.perf_counter()
    if labeler is not None:
        label_map(scene, labeler, vocabulary)
    busy = sum(sum(took) for stage, took in mapper.seconds.items() if stage != "refine")
    figures: dict[str, Any] = {
        "frames": scene.frames, "resumed_at": start, "skipped": dict(recording.skipped), "instances": len(scene),
        "points": scene.point_count, "frames_per_second": round((scene.frames - had) / max(busy, 1e-9), 2),
        "named": sum(name is not None for name in scene.names),
        "label_s": round(time.perf_counter() - labelling, 3), "refine_s": round(mapper.seconds["refine"][-1], 3),
        "events": events_of(mapper.reconstruct),
        "median_ms": {n: round(1e3 * float(np.median(s)), 3) for n, s in mapper.seconds.items() if s},
    }
    if truth is not None:
        figures.update(_measure(scene, truth))
        figures["online"] = curve
    write_map_folder(
        scene, target, title=f"{settings.get('method', 'map')}: {recording.name}", figures=figures,
        seconds=mapper.seconds, settings=settings,
    )
    checkpoints.remove()
    return scene, figures


def _map(
    mapper: Mapper, recording: Recording, start: int, checkpoints: Checkpoints, truth: Truth | None,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """Every frame into the map; returns the online curve, where there is a truth."""
    curve: list[dict[str, Any]] = []
    saved = time.perf_counter()
    with mapper:
        for frame in recording.iterate(start):
            before, position = mapper.scene.frames, recording.position(frame.index) + 1
            mapper.step(frame)
            if progress is not None:
                progress(position, len(mapper.scene))
            if truth is not None and mapper.scene.frames // CURVE_EVERY > before // CURVE_EVERY:
                so_far = mapper.refined()
                curve.append({"frame": mapper.scene.frames, "instances": len(so_far), **_measure(so_far, truth)})
            if time.perf_counter() - saved > CHECKPOINT_S:
                checkpoints.save(mapper, position)
                saved = time.perf_counter()
    return curve


def events_of(reconstruct: Reconstructor) -> list[dict[str, Any]]:
    """What a reconstructor has to say of a recording, as JSON; of a resumed run what the whole recording had."""
    return [asdict(event) for event in reconstruct.events] if isinstance(reconstruct, Reports) else []


def _why_nothing(recording: Recording, reconstruct: Reconstructor) -> str:
    """Why no frame came into the map, and what helps."""
    geometry = reconstruct.geometry if isinstance(reconstruct, Joined) else reconstruct
    if isinstance(geometry, Odometry):
        return (
            "odometry found no start: the camera has to move aside, past things with corners; geometry of cut3r "
            "(--reconstruct cut3r) maps from the first frame on"
        )
    reasons = "; ".join(f"{count} {reason}" for reason, count in recording.skipped.items())
    return f"no usable frame{f' ({reasons})' if reasons else ''}"


def _measure(scene: SceneMap, truth: Truth) -> dict[str, float]:
    """Class-agnostic AP, AP50, AP25 of one map."""
    prediction = predict(scene, truth.vertices, REACH * scene.voxel_m)
    mapped = MappedRecording("map", truth.unlabelled(), {scene.frames: prediction}, {})
    overall = evaluate_maps([mapped], THINGS, True, {}).result.overall
    return {name: round(value, 4) for name, value in overall.as_json().items() if value is not None}
