"""Recording -> map folder, with checkpoints on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from seg3r.choices import Geometry, LabelerName, MethodName, PresetName
from seg3r.datasets.rooms import truth_surface
from seg3r.datasets.truth import Truth
from seg3r.describe.best_views import best_views
from seg3r.errors import InputError, check_choice
from seg3r.evaluate.run import CURVE_EVERY, REACH, MappedRecording, Progress, evaluate_maps, predict
from seg3r.export import CONTENT, check_out, write_map_folder
from seg3r.files import clear_left_over
from seg3r.label.label_map import label_map
from seg3r.label.vocabulary import Vocabulary
from seg3r.lock import sole_writer
from seg3r.mapper import Mapper
from seg3r.methods.moonseg3r_config import MoonSeg3RConfig
from seg3r.methods.opentrack3d_config import OpenTrack3DConfig
from seg3r.metrics.protocol import THINGS
from seg3r.presets.geometry import GeometryOptions
from seg3r.presets.language import labeler_for
from seg3r.presets.mappers import METHODS, moonseg3r, opentrack3d, preset_named
from seg3r.presets.masks import masks_from
from seg3r.presets.preset import Preset
from seg3r.presets.words import vocabulary_named
from seg3r.protocols import Labeler, Reconstructor, Reports
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.odometry import Odometry
from seg3r.resume import Checkpoints
from seg3r.scene import SceneMap
from seg3r.sources import Recording, open_source
from seg3r.superpoints.mesh import read_superpoints

CHECKPOINT_S = 10.0
"""Seconds of work that a crash may cost."""


def frames(source: str | Path, every: int = 1) -> Recording:
    """Open a recording: a video, a camera, a folder, a dataset scene, `rooms:SEED`.

    Raises:
        InputError: nothing there, or nothing usable.
    """
    return open_source(source, every=every)


def method_for(recording: Recording) -> MethodName:
    """opentrack3d where a recording has depth and poses, moonseg3r where it has colour alone."""
    holds = recording.describe()
    return "opentrack3d" if holds["has_depth"] and holds["has_pose"] else "moonseg3r"


def run(
    source: str | Path,
    out: str | Path,
    method: MethodName | None = None,
    preset: PresetName | Preset = "bundled",
    *,
    config: OpenTrack3DConfig | MoonSeg3RConfig | None = None,
    masks: str | Path | None = None,
    vocabulary: str | Path | None = None,
    labels: LabelerName | None = None,
    chat: str | None = None,
    mesh: str | Path | None = None,
    reconstruct: Geometry | None = None,
    geometry: str | Path | None = None,
    focal: float | None = None,
    centre: tuple[float, float] | None = None,
    refiner: str | Path | None = None,
    every: int = 1,
    resume: bool = False,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
    recording: Recording | None = None,
) -> tuple[SceneMap, dict[str, Any]]:
    """Map a recording into a folder with one call; returns the refined map and the run's figures.

    Args:
        source: see `frames`.
        method: None: what goes with the recording, see `method_for`.
        config: the method's numbers; None: those of the preset.
        masks: a folder of id maps in the recording (or anywhere), or `truth`; None: a segmenter.
        vocabulary: words to name instances with: `rooms`, the name of a data set, or a file with one name a line.
        labels: who names them; None: the names beside the masks or, with a vocabulary, the nearest text.
        chat: another language model: a name from `seg3r weights list`, a folder, or URL#MODEL of an endpoint.
        mesh: of opentrack3d: in the recording's world; instances follow its superpoints.
        reconstruct, geometry, focal, centre, refiner: of moonseg3r: where camera and depth come from, the folder of
            `saved` ones, the camera's focal length and principal point (column, row) in pixels, another query refiner.
        every: stride over the frames.
        resume: go on where an interrupted call with the same arguments stopped.
        seed: of parts that draw.
        device: of the networks.
        recording: `source`, where it is open already.

    Raises:
        InputError: a word or a number that is none, an argument of the other method, weights that are not on this disk,
            and what `map_recording` raises.
    """
    target, parts = Path(out).expanduser(), preset_named(preset, device)
    check_out(target)
    if seed < 0:
        raise InputError(f"seed: {seed}; seeds are counted from 0")
    recording = frames(source, every) if recording is None else recording
    method = method_for(recording) if method is None else method
    check_choice("method", method, METHODS)
    words = None if vocabulary is None else vocabulary_named(vocabulary)
    labeler = labeler_for(labels, words, parts, chat)
    segment = masks_from(recording, masks)
    if method == "moonseg3r":
        _check_unused(method, "opentrack3d", {"mesh": mesh})
        if config is not None and not isinstance(config, MoonSeg3RConfig):
            raise InputError(f"config: {type(config).__name__} is none of moonseg3r's; give a MoonSeg3RConfig")
        standard: OpenTrack3DConfig | MoonSeg3RConfig = parts.moonseg3r
        reconstruct = reconstruct or parts.geometry
        folder = None if geometry is None else Path(geometry).expanduser()
        mapper = moonseg3r(
            parts, config, reconstruct=reconstruct, refiner=refiner, segment=segment,
            geometry=GeometryOptions(focal, centre, folder, recording.stem, seed),
        )
    else:
        _check_unused(method, "moonseg3r", {"reconstruct": reconstruct, "geometry": geometry, "focal": focal,
                                            "centre": centre, "refiner": refiner})
        if config is not None and not isinstance(config, OpenTrack3DConfig):
            raise InputError(f"config: {type(config).__name__} is none of opentrack3d's; give an OpenTrack3DConfig")
        standard = OpenTrack3DConfig()
        mapper = opentrack3d(
            parts, config, words=None if words is None else words.words, segment=segment,
            superpoints=None if mesh is None else read_superpoints(Path(mesh).expanduser()),
        )
    given = {"source": Path(source).expanduser(), "masks": masks, "vocabulary": vocabulary, "mesh": mesh,
             "geometry": geometry, "refiner": refiner}
    settings: dict[str, object] = {name: None if value is None else str(value) for name, value in given.items()}
    settings |= {"method": method, "preset": parts.name, "every": every, "seed": seed, "labels": labels, "chat": chat,
                 "reconstruct": reconstruct, "focal": focal, "centre": centre, **_changed(config, standard)}
    # A map of one camera lies elsewhere than the truth and has another scale: `evaluate rooms` brings them together.
    truth = truth_surface(recording) if reconstruct in (None, "sensor") else None
    return map_recording(
        mapper, recording, target, settings=settings, resume=resume, truth=truth, progress=progress, labeler=labeler,
        vocabulary=words,
    )


def _check_unused(method: str, other: str, given: Mapping[str, object]) -> None:
    if unused := [name for name, value in given.items() if value is not None]:
        raise InputError(f"{unused[0]}: belongs to {other}, not to {method}")


def _changed(config: object, standard: OpenTrack3DConfig | MoonSeg3RConfig) -> dict[str, object]:
    """The numbers of a config that are not the preset's."""
    if config is None:
        return {}
    return {name: getattr(config, name) for name, value in vars(standard).items() if getattr(config, name) != value}


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
