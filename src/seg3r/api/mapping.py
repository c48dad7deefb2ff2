"""Recording -> map folder, with checkpoints on the way."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seg3r.api.truth import truth_masks
from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import protocol_from_classes
from seg3r.evaluate.run import REACH, Truth, predict, score_runs
from seg3r.export import check_out, write_map_folder
from seg3r.mapper import Mapper
from seg3r.methods import opentrack3d as opentrack3d_method
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.protocols import Segmenter
from seg3r.scene import SceneMap
from seg3r.segment.saved import Saved, folder_reader
from seg3r.sources import Recording, open_source

Preset = Literal["bundled", "foundation"]
Progress = Callable[[int, int], None]
"""Called with (frames done, instances) after each frame."""

CHECKPOINT_S = 10.0
"""Seconds of work that a crash may cost."""
CURVE_EVERY = 10
"""Frames between two points of the online curve."""
METHODS = ("opentrack3d",)
THINGS = protocol_from_classes(("thing",))
"""The class list of a map without labels."""


def frames(source: str, every: int = 1) -> Recording:
    """Open a recording: a video, a camera, a folder, a dataset scene, `rooms:SEED`.

    Raises:
        InputError: nothing there, or nothing usable.
    """
    return open_source(source, every=every)


def opentrack3d(preset: Preset = "bundled", config: OpenTrack3DConfig | None = None, **parts: Any) -> Mapper:
    """A mapper for posed RGB-D (OpenTrack3D); `parts` (`segment`, `embed`, `scene`) replace those of the preset."""
    if preset != "bundled":
        raise InputError(f"preset {preset!r} is not available for opentrack3d in this version; use --preset bundled")
    return opentrack3d_method.opentrack3d(config, **parts)


def make_mapper(method: str, preset: Preset, **parts: Any) -> Mapper:
    """A method by its name."""
    if method not in METHODS:
        raise InputError(f"no method {method!r}; there are: {', '.join(METHODS)}")
    return opentrack3d(preset, **parts)


def masks_from(recording: Recording, masks: str | None) -> Segmenter | None:
    """The segmenter that `--masks` names: a folder in the recording, its truth, or (None) the method's own."""
    if masks is None:
        return None
    if masks == "truth":
        return Saved(truth_masks(recording))
    inside = None if recording.root is None else recording.root / masks
    folder = inside if inside is not None and inside.is_dir() else Path(masks)
    if not folder.is_dir():
        raise InputError(f"{masks}: no such folder of masks, neither in {recording.name} nor here")
    return Saved(folder_reader(folder, recording.stem))


def map_recording(
    mapper: Mapper,
    recording: Recording,
    out: Path,
    settings: Mapping[str, object],
    resume: bool = False,
    truth: Truth | None = None,
    progress: Progress | None = None,
) -> tuple[SceneMap, dict[str, Any]]:
    """Map a recording into a folder; returns the refined map and the run's figures.

    While it runs, a checkpoint lies in a hidden folder beside `out`; `out` itself appears whole, at the end.

    Args:
        settings: what makes two runs the same run; `resume` refuses to continue another.
        truth: if known, the folder's report shows the online curve.

    Raises:
        InputError: unusable `out`, nothing usable in the recording, or a checkpoint of another run.
    """
    check_out(out)
    partial = out.parent / f".{out.name}.partial"
    start = _continue(mapper, recording, partial, settings, resume)
    reach_m = REACH * mapper.scene.voxel_m
    curve: list[dict[str, float]] = []
    saved = time.perf_counter()
    try:
        for frame in recording.iterate(start):
            mapper.step(frame)
            if progress is not None:
                progress(mapper.scene.frames, len(mapper.scene))
            if truth is not None and mapper.scene.frames % CURVE_EVERY == 0:
                so_far = mapper.result()
                curve.append({
                    "frame": mapper.scene.frames, "instances": len(so_far), **_measure(so_far, truth, reach_m),
                })
            if time.perf_counter() - saved > CHECKPOINT_S:
                mapper.scene.save(partial / "scene.safetensors")
                saved = time.perf_counter()
        if mapper.scene.frames == 0:
            raise InputError(f"{recording.name}: no usable frame")
    except InputError:
        if not (partial / "scene.safetensors").is_file():
            shutil.rmtree(partial)  # nothing to resume
        raise
    scene = mapper.result()
    busy = sum(sum(took) for stage, took in mapper.seconds.items() if stage != "refine")
    figures: dict[str, Any] = {
        "frames": scene.frames, "resumed_at": start, "skipped": dict(recording.skipped), "instances": len(scene),
        "points": scene.point_count, "frames_per_second": round((scene.frames - start) / max(busy, 1e-9), 2),
        "median_ms": {n: round(1e3 * float(np.median(s)), 3) for n, s in mapper.seconds.items() if s},
    }
    if truth is not None:
        figures.update(_measure(scene, truth, reach_m))
        figures["online"] = curve
    write_map_folder(
        scene, out, title=f"{settings['method']}: {recording.name}", figures=figures, seconds=mapper.seconds,
        settings=settings,
    )
    shutil.rmtree(partial)
    return scene, figures


def _continue(
    mapper: Mapper, recording: Recording, partial: Path, settings: Mapping[str, object], resume: bool
) -> int:
    """Prepare the checkpoint folder; the position in the recording to start from."""
    ours = json.dumps(settings, sort_keys=True, default=str)
    checkpoint = partial / "scene.safetensors"
    if resume and checkpoint.is_file():
        theirs = (partial / "settings.json").read_text()
        if theirs != ours:
            raise InputError(f"{partial}: the interrupted run had other settings ({theirs}); run without --resume")
        mapper.scene = SceneMap.load(checkpoint)
        return recording.position(mapper.scene.last_frame) + 1
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "settings.json").write_text(ours)
    return 0


def _measure(scene: SceneMap, truth: Truth, reach_m: float) -> dict[str, float]:
    """Class-agnostic AP, AP50, AP25 of one map."""
    said = {scene.frames: predict(scene, truth.vertices, reach_m)}
    result, _, _ = score_runs(["map"], [unlabelled(truth)], [said], THINGS, True, "ranked")
    return {name: round(value, 4) for name, value in result.overall.as_json().items() if value is not None}


def unlabelled(truth: Truth) -> Truth:
    """Every instance of one class."""
    return Truth(truth.vertices, np.where(truth.ids % 1000 > 0, 1000 + truth.ids % 1000, 0))
