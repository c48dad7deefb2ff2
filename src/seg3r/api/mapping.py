"""Recording -> map folder, with checkpoints on the way."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg3r.api.labelling import ROOM_WORDS, Namer, Preset, answerer_of, best_device, label_map
from seg3r.api.truth import truth_masks
from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import protocol_from_classes
from seg3r.evaluate.run import REACH, Truth, predict, score_runs
from seg3r.export import check_out, write_map_folder
from seg3r.label.best_views import best_views
from seg3r.label.vocabulary import Vocabulary
from seg3r.mapper import Mapper
from seg3r.methods import opentrack3d as opentrack3d_method
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.protocols import Answerer, Segmenter
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
METHODS = ("opentrack3d",)
DETECTOR, SEGMENTER, EMBEDDER = "grounding-dino-base", "sam2.1-large", "dinov2-large"
"""Of the foundation preset (specification, D-6 and D-7)."""
CATCH_ALL = ("object", "device", "container")
"""Looked for beside the words where nobody gave any (D-8)."""
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
    return opentrack3d(preset, **parts)


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
    for instance_id in scene.ids.tolist():
        scene.sightings[instance_id] = best_views(scene, instance_id, len(scene.sightings.get(instance_id, ())))
    labelling = time.perf_counter()
    if namer is not None:
        label_map(scene, namer, vocabulary)
    busy = sum(sum(took) for stage, took in mapper.seconds.items() if stage != "refine")
    figures: dict[str, Any] = {
        "frames": scene.frames, "resumed_at": start, "skipped": dict(recording.skipped), "instances": len(scene),
        "points": scene.point_count, "frames_per_second": round((scene.frames - start) / max(busy, 1e-9), 2),
        "named": sum(bool(scene.name_votes.get(i)) for i in scene.ids.tolist()),
        "label_s": round(time.perf_counter() - labelling, 3), "refine_s": round(mapper.refine.seconds[-1], 3),
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
