"""Recording -> map folder, with checkpoints on the way."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from seg3r.api.geometry import FEATURES, Geometry, load_bundled_refiner, reconstructor
from seg3r.api.labelling import ROOM_WORDS, Namer, Preset, answerer_of, best_device, label_map
from seg3r.api.truth import truth_masks
from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import protocol_from_classes
from seg3r.evaluate.run import REACH, Truth, predict, score_runs
from seg3r.export import check_out, write_map_folder
from seg3r.label.best_views import best_views
from seg3r.label.vocabulary import Vocabulary
from seg3r.mapper import Mapper
from seg3r.methods import moonseg3r as moonseg3r_method
from seg3r.methods import opentrack3d as opentrack3d_method
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.models.query_refiner import QueryRefiner
from seg3r.protocols import Answerer, Reconstructor, Remembers, Segmenter
from seg3r.reading import one_line, printable, reading
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.odometry import Odometry
from seg3r.reconstruct.saved import Saved as SavedGeometry
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.segment.saved import Saved, folder_reader
from seg3r.sources import Recording, open_source
from seg3r.types import Answer

Progress = Callable[[int, int], None]
"""Called with (frames done, instances) after each frame."""

CHECKPOINT_S = 10.0
"""Seconds of work that a crash may cost."""
CURVE_EVERY = 10
"""Frames between two points of the online curve."""
AGAIN = "start again without --resume"
METHODS = ("opentrack3d", "moonseg3r")
DETECTOR, SEGMENTER, EMBEDDER = "grounding-dino-base", "sam2.1-large", "dinov2-large"
"""Of the foundation preset (specification, D-6 and D-7)."""
CATCH_ALL = ("object", "device", "container")
"""Looked for beside the words where nobody gave any (D-8)."""
BUNDLED_MOON = MoonSeg3RConfig(merge_within=0.95, match=2.1, token_frames=1, consensus=True)
"""The method with the bundled features, by which more is alike than by the paper's: chosen on six rooms of the
val split (docs/moonseg3r.md)."""
THINGS = protocol_from_classes(("thing",))
"""The class list of a map without labels."""


def frames(source: str, every: int = 1) -> Recording:
    """Open a recording: a video, a camera, a folder, a dataset scene, `rooms:SEED`.

    Raises:
        InputError: nothing there, or nothing usable.
    """
    return open_source(source, every=every)


def opentrack3d(
    preset: Preset = "bundled",
    config: OpenTrack3DConfig | None = None,
    words: Sequence[str] | None = None,
    **parts: Any,
) -> Mapper:
    """A mapper for posed RGB-D (OpenTrack3D); `parts` (`segment`, `embed`, `scene`, `superpoints`, `answer`) replace
    those of the preset.

    Args:
        preset: bundled: weight-free parts, and small weights that come with the package for words and answers.
            foundation: Grounding DINO -> SAM 2.1, DINOv2, SigLIP 2 and Qwen2.5-VL, from this disk.
        words: what the foundation preset's detector looks for; None: common indoor things (those of the rooms).

    Raises:
        InputError: weights of the foundation preset are not on this disk.
    """
    if preset == "foundation":
        parts = {**foundation_parts(words, config or OpenTrack3DConfig(), parts), **parts}
    given = {"answer": Lazy(preset), **{name: part for name, part in parts.items() if part is not None}}
    return opentrack3d_method.opentrack3d(config, **given)


def moonseg3r(
    preset: Preset = "bundled",
    config: MoonSeg3RConfig | None = None,
    reconstruct: Geometry | Reconstructor = "odometry",
    refiner: Path | QueryRefiner | None = None,
    geometry: Mapping[str, Any] | None = None,
    **parts: Any,
) -> Mapper:
    """A mapper for a single RGB video (MoonSeg3R); `parts` (`segment`, `scene`, `answer`) replace those of the preset.

    Args:
        preset: bundled: small weights that come with the package. foundation: CUT3R, DINOv2 and SAM 2.1, from this
            disk.
        reconstruct: who says where the camera is and how far things are, by name or itself.
        refiner: a query refiner, or its folder (`seg3r train moonseg3r`); None: the bundled one, or with the
            foundation preset, for whose features none is shipped, no refinement.
        geometry: further options of `reconstructor`.

    Raises:
        InputError: weights that are not on this disk.
    """
    from seg3r.embed.patches import PatchGrid
    from seg3r.embed.refined_queries import DenseFeatures, load_refiner

    config = config or moonseg3r_config(preset)
    features2d: DenseFeatures = PatchGrid()
    given = {"answer": Lazy(preset), **{name: part for name, part in parts.items() if part is not None}}
    if preset == "foundation":
        from seg3r.embed.dino import Dino
        from seg3r.segment.automatic import Automatic

        features2d = Dino(FEATURES, best_device()).dense
        given.setdefault("segment", Automatic(SEGMENTER, best_device()))
        config = replace(config, refine=config.refine and refiner is not None)
    query_refiner = load_refiner(refiner) if isinstance(refiner, Path) else refiner
    if config.refine and query_refiner is None:
        query_refiner = load_bundled_refiner()
    if isinstance(reconstruct, str):
        reconstruct = reconstructor(reconstruct, preset, tokens=True, **(geometry or {}))
    return moonseg3r_method.moonseg3r(reconstruct, features2d, query_refiner, config, **given)


def moonseg3r_config(preset: Preset) -> MoonSeg3RConfig:
    """The paper's numbers, or those for the bundled features."""
    return BUNDLED_MOON if preset == "bundled" else MoonSeg3RConfig()


def geometry_parts(
    method: str, preset: Preset, recording: Recording, reconstruct: Geometry | None = None, folder: Path | None = None,
    focal_px: float | None = None, centre_px: tuple[float, float] | None = None, refiner: Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """What a method is told of where its geometry comes from. By default odometry, or CUT3R where the large weights
    are.

    Raises:
        InputError: a choice that the method does not leave.
    """
    if method != "moonseg3r":
        refuse_moonseg3rs(method, {
            "--reconstruct": reconstruct, "--geometry": folder, "--focal": focal_px, "--centre": centre_px,
            "--refiner": refiner,
        })
        return {}
    name = reconstruct or ("cut3r" if preset == "foundation" else "odometry")
    if folder is not None and name != "saved":
        raise InputError(f"--geometry {folder}: the folder belongs to --reconstruct saved, not to {name}")
    if name != "odometry" and (focal_px is not None or centre_px is not None):
        flag = "--focal" if focal_px is not None else "--centre"
        raise InputError(f"{flag}: the camera's numbers belong to --reconstruct odometry; {name} has its own")
    geometry = {
        "folder": folder, "focal_px": focal_px, "centre_px": centre_px, "seed": seed, "stem": recording.stem,
    }
    return {"reconstruct": name, "refiner": refiner, "geometry": geometry}


def refuse_moonseg3rs(method: str, given: Mapping[str, object]) -> None:
    """Raises InputError if any of these options, which another method does not have, is not None."""
    if unused := [name for name, value in given.items() if value is not None]:
        raise InputError(f"{method} takes depth and pose as the recording gives them; {unused[0]} is moonseg3r's")


def foundation_parts(
    words: Sequence[str] | None, config: OpenTrack3DConfig, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The large models in the sockets that `given` leaves open."""
    from seg3r.embed.dino import Dino
    from seg3r.segment.detect import Detector
    from seg3r.segment.grounded import Grounded
    from seg3r.segment.sam2 import Sam2

    device, parts = best_device(), dict[str, Any]()
    if given.get("segment") is None:
        looked_for = [*(words or ROOM_WORDS.words), *(CATCH_ALL if words is None else ())]
        parts["segment"] = Grounded(Detector(DETECTOR, looked_for, device=device), Sam2(SEGMENTER, device))
    if given.get("embed") is None:
        parts["embed"] = Dino(EMBEDDER, device, over=config.pool)
    return parts


class Lazy:
    """An Answerer that loads its weights when the first question comes."""

    def __init__(self, preset: Preset) -> None:
        self._preset: Preset = preset
        self._answerer: Answerer | None = None

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        """By the nearest text with the bundled weights, by the language model with the large ones."""
        if self._answerer is None:
            self._answerer = answerer_of("nearest" if self._preset == "bundled" else "mllm", self._preset)
        return self._answerer(scene, question)


def make_mapper(method: str, preset: Preset, **parts: Any) -> Mapper:
    """A method by its name."""
    if method not in METHODS:
        raise InputError(f"no method {method!r}; there are: {', '.join(METHODS)}")
    if method == "opentrack3d":
        return opentrack3d(preset, **parts)
    if parts.pop("superpoints", None) is not None:
        raise InputError("moonseg3r maps one camera without a mesh; a mesh goes with opentrack3d")
    parts.pop("words", None)  # its segmenter knows no classes
    return moonseg3r(preset, **parts)


def mesh_of(path: Path) -> tuple[Tensor, Tensor]:
    """Vertices of a mesh and the superpoint of each (Felzenszwalb as in ScanNet: kThresh 0.01, segMinVerts 20).

    Raises:
        InputError: no such mesh, or none with faces.
    """
    from seg3r.superpoints import mesh_superpoints, read_mesh  # a run without a mesh does not import it

    vertices, faces = read_mesh(path)
    return torch.from_numpy(vertices), torch.from_numpy(mesh_superpoints(vertices, faces))


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
    namer: Namer | None = None,
    vocabulary: Vocabulary | None = None,
) -> tuple[SceneMap, dict[str, Any]]:
    """Map a recording into a folder; returns the refined map and the run's figures.

    While it runs, a checkpoint lies in a hidden folder beside `out`; `out` itself appears whole, at the end.

    Args:
        settings: what makes two runs the same run; `resume` refuses to continue another.
        truth: if known, the folder's report shows the online curve.
        namer: names the instances of the finished map; None: they keep the names that came with the masks.
        vocabulary: the words to name them with; None: words of the labeler's own.

    Raises:
        InputError: unusable `out`, nothing usable in the recording, or a checkpoint of another run.
    """
    check_out(out)
    partial = out.parent / f".{out.name}.partial"
    start = _continue(mapper, recording, partial, settings, resume)
    reach_m = REACH * mapper.scene.voxel_m
    had = mapper.scene.frames
    curve: list[dict[str, float]] = []
    saved = time.perf_counter()
    try:
        for frame in recording.iterate(start):
            before, position = mapper.scene.frames, recording.position(frame.index) + 1
            mapper.step(frame)
            if progress is not None:
                progress(position, len(mapper.scene))
            if truth is not None and mapper.scene.frames // CURVE_EVERY > before // CURVE_EVERY:
                so_far = mapper.result()
                curve.append({
                    "frame": mapper.scene.frames, "instances": len(so_far), **_measure(so_far, truth, reach_m),
                })
            if time.perf_counter() - saved > CHECKPOINT_S:
                _save(mapper, position, partial)
                saved = time.perf_counter()
        mapper.finish()
        if mapper.scene.frames == 0:
            raise InputError(f"{recording.name}: {_why_nothing(recording, mapper.reconstruct.stage)}")
    except InputError:
        if _checkpoint(partial) is None:
            shutil.rmtree(partial)  # nothing to resume
        raise
    scene = mapper.result()
    for instance_id in scene.ids.tolist():
        scene.sightings[instance_id] = best_views(scene, instance_id, len(scene.sightings.get(instance_id, ())))
    labelling = time.perf_counter()
    if namer is not None:
        label_map(scene, namer, vocabulary)
    busy = sum(sum(took) for stage, took in mapper.seconds.items() if stage != "refine")
    figures: dict[str, Any] = {
        "frames": scene.frames, "resumed_at": start, "skipped": dict(recording.skipped), "instances": len(scene),
        "points": scene.point_count, "frames_per_second": round((scene.frames - had) / max(busy, 1e-9), 2),
        "named": sum(bool(scene.name_votes.get(i)) for i in scene.ids.tolist()),
        "label_s": round(time.perf_counter() - labelling, 3), "refine_s": round(mapper.refine.seconds[-1], 3),
        "events": events_of(mapper.reconstruct.stage),
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
    checkpoint = _checkpoint(partial)
    if resume and checkpoint is not None:
        with reading(partial, "the checkpoint of a run", AGAIN):
            theirs = (partial / "settings.json").read_text(encoding="utf-8")
        if theirs != ours:
            raise InputError(
                f"{partial}: the interrupted run had other settings ({printable(theirs)}); run without --resume"
            )
        return _recall(mapper, recording, checkpoint)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "settings.json").write_text(ours)
    return 0


def _checkpoint(partial: Path) -> Path | None:
    """The last one that was finished."""
    whole = sorted(p for p in partial.glob("at-*") if p.is_dir())
    return whole[-1] if whole else None


def _save(mapper: Mapper, position: int, partial: Path) -> None:
    """Map and memories together, under the position of the next frame: whole or not there.

    A reconstructor that waits has taken more frames than the map holds.
    """
    before, target, temporary = _checkpoint(partial), partial / f"at-{position:09d}", partial / ".tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    mapper.scene.save(temporary / "scene.safetensors")
    memories = {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()  # a file holds no tensor that is part of another
        for name, stage in _remembering(mapper).items() for key, value in stage.state().items()
    }
    save_file(memories, temporary / "memory.safetensors")
    temporary.replace(target)
    if before is not None and before != target:
        shutil.rmtree(before)


def _recall(mapper: Mapper, recording: Recording, checkpoint: Path) -> int:
    """Map and memories as they were; a reconstructor that cannot put its memory down sees the frames again.

    Returns:
        position of the next frame.
    """
    try:
        with reading(checkpoint, "the checkpoint of a run"):
            position = int(checkpoint.name.removeprefix("at-"))
            mapper.scene = SceneMap.load(checkpoint / "scene.safetensors")
            held = load_file(checkpoint / "memory.safetensors")
            for name, stage in _remembering(mapper).items():
                stage.restore({k.removeprefix(f"{name}."): v for k, v in held.items() if k.startswith(f"{name}.")})
    except InputError as error:
        raise InputError(f"{checkpoint}: a damaged checkpoint ({one_line(error)}); {AGAIN}") from error
    reconstruct = mapper.reconstruct.stage
    assert isinstance(reconstruct, Reconstructor)
    if _must_replay(reconstruct):
        for frame in recording.iterate(0):
            if recording.position(frame.index) >= position:
                break
            reconstruct(frame)
    return position


def _remembering(mapper: Mapper) -> dict[str, Remembers]:
    """The stages whose memory goes into a checkpoint."""
    stages: dict[str, object] = {"embed": mapper.embed.stage}
    reconstruct = mapper.reconstruct.stage
    assert isinstance(reconstruct, Reconstructor)
    if not _must_replay(reconstruct):
        stages["reconstruct"] = reconstruct
    return {name: stage for name, stage in stages.items() if isinstance(stage, Remembers)}


def _must_replay(reconstruct: Reconstructor) -> bool:
    """Whether it may remember what it cannot put down."""
    if isinstance(reconstruct, Joined):
        return _must_replay(reconstruct.geometry) or _must_replay(reconstruct.tokens)
    return not isinstance(reconstruct, Remembers | Sensor | SavedGeometry)


def _why_nothing(recording: Recording, reconstruct: object) -> str:
    """Why no frame came into the map, and what helps."""
    geometry = reconstruct.geometry if isinstance(reconstruct, Joined) else reconstruct
    if isinstance(geometry, Odometry):
        return (
            "odometry found no start: the camera has to move aside, past things with corners; --reconstruct cut3r maps "
            "from the first frame on"
        )
    reasons = "; ".join(f"{count} {reason}" for reason, count in recording.skipped.items())
    return f"no usable frame{f' ({reasons})' if reasons else ''}"


def events_of(reconstruct: object) -> list[dict[str, Any]]:
    """What a reconstructor has to say of a recording, as JSON; of a resumed run what the whole recording had."""
    if isinstance(reconstruct, Joined):
        return events_of(reconstruct.geometry)
    return [asdict(event) for event in reconstruct.events] if isinstance(reconstruct, Odometry) else []


def _measure(scene: SceneMap, truth: Truth, reach_m: float) -> dict[str, float]:
    """Class-agnostic AP, AP50, AP25 of one map."""
    said = {scene.frames: predict(scene, truth.vertices, reach_m)}
    result, _, _ = score_runs(["map"], [unlabelled(truth)], [said], THINGS, True, "ranked")
    return {name: round(value, 4) for name, value in result.overall.as_json().items() if value is not None}


def unlabelled(truth: Truth) -> Truth:
    """Every instance of one class."""
    return Truth(truth.vertices, np.where(truth.ids % 1000 > 0, 1000 + truth.ids % 1000, 0))
