"""What a person calls: recordings in, maps and measures out. Every command of the command line is one function here."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from seg3r.embed.oracle import TruthIdentity
from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import protocol_from_classes
from seg3r.evaluate.run import REACH, Truth, follow, predict, score_runs
from seg3r.export import check_out, write_map_folder
from seg3r.mapper import Mapper
from seg3r.methods import opentrack3d as opentrack3d_method
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.protocols import Associator, Embedder, Segmenter
from seg3r.rooms import CLASSES, STRUCTURAL, labelled_cloud, split_seeds
from seg3r.scene import SceneMap
from seg3r.segment.saved import IdMap, Saved, folder_reader
from seg3r.sources import Recording, open_source
from seg3r.sources.rooms import RoomsSource

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


# ---- truth -----------------------------------------------------------------------------------------------------------


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


# ---- mapping ---------------------------------------------------------------------------------------------------------


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
    result, _, _ = score_runs(["map"], [_unlabelled(truth)], [said], THINGS, True, "ranked")
    return {name: round(value, 4) for name, value in result.overall.as_json().items() if value is not None}


def _unlabelled(truth: Truth) -> Truth:
    """Every instance of one class."""
    return Truth(truth.vertices, np.where(truth.ids % 1000 > 0, 1000 + truth.ids % 1000, 0))


# ---- measuring -------------------------------------------------------------------------------------------------------


def evaluate_rooms(
    method: str = "opentrack3d",
    preset: Preset = "bundled",
    split: Literal["train", "val", "test"] = "val",
    masks: Literal["geometric", "truth"] = "geometric",
    association: Literal["own", "truth"] = "own",
    depth: Literal["clean", "noisy"] = "noisy",
    rooms: int = 8,
    frame_count: int = 60,
    size: tuple[int, int] = (240, 320),
    online_every: int = CURVE_EVERY,
    without: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Class-agnostic instance AP of a method on procedural rooms, with the oracle ladder (`masks`, `association`).

    Args:
        size: (H, W).
        without: parts of the method to switch off; see `SWITCHES`.
    """
    names, truths, runs, seconds = [], [], [], []
    for seed in split_seeds(split, rooms):
        recording = RoomsSource(seed, frames=frame_count, size=size, depth=depth)
        truth = truth_surface(recording)
        assert truth is not None
        parts: dict[str, Any] = {"config": switched_off(without)}
        if masks == "truth":
            parts["segment"] = Saved(truth_masks(recording))
        mapper = make_mapper(method, preset, **parts)
        if association == "truth":
            give_identity(mapper, recording)
        runs.append(follow(mapper, recording, truth, online_every, REACH * mapper.scene.voxel_m))
        names.append(recording.name)
        truths.append(truth)
        seconds.append(mapper.seconds)
        if progress is not None:
            progress(len(names), sum(len(run[max(run)]) for run in runs))
    protocol = protocol_from_classes(CLASSES[1:], STRUCTURAL)
    result, curve, quality = score_runs(names, truths, runs, protocol, True, "ranked")
    settings = {
        "method": method, "preset": preset, "split": split, "masks": masks, "association": association,
        "depth": depth, "rooms": rooms, "frames": frame_count, "size": f"{size[1]}x{size[0]}",
        "without": sorted(without), "max_dist_m": REACH * 0.02,
    }
    answer = result.as_json(curve, settings)
    answer["purity"], answer["completeness"] = round(quality.purity, 4), round(quality.completeness, 4)
    answer["median_ms"] = {
        name: round(1e3 * float(np.median(np.concatenate([s[name] for s in seconds]))), 3) for name in seconds[0]
    }
    return answer


def evaluate_map(
    folder: Path, points: Path, gt: Path, class_agnostic: bool, scores_as: Literal["ranked", "constant"],
    max_dist_m: float | None,
) -> dict[str, Any]:
    """A map folder against a labelled cloud in its world.

    Raises:
        InputError: missing or mismatched files, or a class-aware measure of a map without labels.
    """
    if not class_agnostic:
        raise InputError(f"{folder}: its instances bear no labels of a benchmark; pass --class-agnostic")
    scene = SceneMap.load(folder / "scene.safetensors")
    truth = read_truth(points, gt)
    reach_m = REACH * scene.voxel_m if max_dist_m is None else max_dist_m
    said = {scene.frames: predict(scene, truth.vertices, reach_m)}
    result, _, quality = score_runs([folder.name], [_unlabelled(truth)], [said], THINGS, True, scores_as)
    answer = result.as_json((), {"map": str(folder), "max_dist_m": reach_m, "scores": scores_as})
    answer["purity"], answer["completeness"] = round(quality.purity, 4), round(quality.completeness, 4)
    return answer


SWITCHES: dict[str, Callable[[OpenTrack3DConfig], OpenTrack3DConfig]] = {
    "look": lambda c: replace(c, look=0.0),
    "overlap": lambda c: replace(c, overlap=False),
    "denoise": lambda c: replace(c, denoise=False),
    "consistency": lambda c: replace(c, consistency=0.0),
    "merge": lambda c: replace(c, merge=0.0),
}
"""What `without` may name: the ablations of the paper's tables 5 and 6."""


def switched_off(without: Sequence[str]) -> OpenTrack3DConfig:
    """The method's config without these parts."""
    config = OpenTrack3DConfig()
    for name in without:
        if name not in SWITCHES:
            raise InputError(f"cannot switch off {name!r}; there are: {', '.join(SWITCHES)}")
        config = SWITCHES[name](config)
    return config


def give_identity(mapper: Mapper, recording: Recording) -> None:
    """The oracle of the ladder's last rung: segments know which thing they are, and association goes by that alone."""
    from seg3r.associate.fused import Fused

    read = truth_masks(recording)

    def ids(frame_index: int) -> torch.Tensor | None:
        id_map = read(frame_index)
        return None if id_map is None else id_map.ids

    embed: Embedder = TruthIdentity(ids, 1000)
    associate: Associator = Fused(
        look=0.0, overlap=0.0, identity=1.0, threshold=0.5, least_look=-1.0, least_contained=0.0, fragment=2.0
    )
    mapper.embed.stage, mapper.associate.stage = embed, associate


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)
