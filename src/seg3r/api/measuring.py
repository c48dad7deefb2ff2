"""Methods on rooms, maps against clouds, data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float

from seg3r.api.geometry import Geometry
from seg3r.api.labelling import ROOM_WORDS, LabelsBy, Preset, label_map, namer_of
from seg3r.api.mapping import (
    CURVE_EVERY,
    THINGS,
    Progress,
    make_mapper,
    masks_from,
    moonseg3r_config,
    refuse_moonseg3rs,
    unlabelled,
)
from seg3r.api.monocular import Placement, map_posed, measure_monocular, without_rows
from seg3r.api.truth import TrueRoom, read_truth, surface_superpoints, true_classes, true_rooms, truth_masks
from seg3r.associate.fused import Fused
from seg3r.embed.oracle import TruthIdentity
from seg3r.embed.refined_queries import load_refiner
from seg3r.errors import InputError
from seg3r.evaluate.benchmarks import protocol_from_classes
from seg3r.evaluate.datasets import DatasetResult, Placed, dataset_called, evaluate_dataset
from seg3r.evaluate.run import REACH, follow, predict, score_runs
from seg3r.label.vocabulary import Vocabulary
from seg3r.mapper import Mapper
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.protocols import Associator, Embedder
from seg3r.rooms import CLASS_IDS, CLASSES, STRUCTURAL
from seg3r.scene import SceneMap
from seg3r.segment.saved import Saved
from seg3r.sources import Recording, open_source


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
    labels: LabelsBy | Literal["truth"] | None = None,
    vocabulary: Vocabulary | None = None,
    config: OpenTrack3DConfig | None = None,
    superpoints: bool = False,
    start: int = 0,
    reconstruct: Geometry | None = None,
    placement: Placement | None = None,
    refiner: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Instance AP of a method on procedural rooms, with the oracle ladder (`masks`, `association`, `labels`).

    Args:
        size: (H, W).
        without: parts of the method to switch off; see `SWITCHES`.
        labels: who names the instances; None: class-agnostic.
        vocabulary: the words to name them with; None: the rooms' classes. A name that is no class of the rooms counts
            as wrong.
        config: of the method, before `without`.
        superpoints: instances follow the superpoints of the true surface (geometry refinement).
        start: the split's first room to take.
        reconstruct, placement, refiner: of moonseg3r, which has neither labels nor the other parts of the ladder;
            None: cut3r, aligned, the bundled refiner.

    Raises:
        InputError: a switch, a measure or a method that is none, or an option of another method.
    """
    measured = true_rooms(split, rooms, start, frame_count, size, depth)
    if method == "moonseg3r":
        if labels is not None or superpoints or association == "truth" or config is not None:
            raise InputError("moonseg3r is measured class-agnostic, with its own association")
        answer = measure_monocular(
            measured, preset, masks, reconstruct or "cut3r", placement or "aligned", online_every,
            without_rows(without, moonseg3r_config(preset)), progress, refiner=refiner,
        )
    else:
        refuse_moonseg3rs(method, {"--reconstruct": reconstruct, "--placement": placement, "--refiner": refiner})
        answer = measure_rooms(
            measured, method, preset, masks, association, online_every, switched_off(without, config), labels,
            vocabulary, superpoints, progress,
        )
    answer["settings"] |= {
        "split": split, "depth": depth, "rooms": rooms, "frames": frame_count, "size": f"{size[1]}x{size[0]}",
        "without": sorted(without), "start": start,
    }
    return answer


def measure_rooms(
    measured: Iterable[TrueRoom],
    method: str = "opentrack3d",
    preset: Preset = "bundled",
    masks: Literal["geometric", "truth"] = "geometric",
    association: Literal["own", "truth"] = "own",
    online_every: int = 0,
    config: OpenTrack3DConfig | None = None,
    labels: LabelsBy | Literal["truth"] | None = None,
    vocabulary: Vocabulary | None = None,
    superpoints: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """`evaluate_rooms` on rooms that are there already."""
    names, truths, runs, seconds = [], [], [], []
    namer = None if labels is None or labels == "truth" else namer_of(labels, preset)
    words = vocabulary or ROOM_WORDS
    for room in measured:
        recording, truth = room.recording, room.truth
        parts: dict[str, Any] = {"config": config}
        if superpoints:
            parts["superpoints"] = surface_superpoints(recording)
        if masks == "truth":
            parts["segment"] = Saved(truth_masks(recording))
        mapper = make_mapper(method, preset, **parts)
        if association == "truth":
            give_identity(mapper, recording)
        reach_m = REACH * mapper.scene.voxel_m
        run = follow(mapper, recording, truth, online_every if labels is None else 0, reach_m)
        if labels is not None:
            scene = mapper.result()
            if namer is None:
                classes = true_classes(scene, truth, reach_m)
                run[max(run)] = predict(scene, truth.vertices, reach_m, classes)
            else:
                said = label_map(scene, namer, words)
                classes = [CLASS_IDS.get(name or "", 0) for name in said.names]
                run[max(run)] = predict(scene, truth.vertices, reach_m, classes, said.scores.tolist())
        runs.append(run)
        names.append(recording.name)
        truths.append(truth)
        seconds.append(mapper.seconds)
        if progress is not None:
            progress(len(names), sum(len(run[max(run)]) for run in runs))
    protocol = protocol_from_classes(CLASSES[1:], STRUCTURAL)
    result, curve, quality = score_runs(names, truths, runs, protocol, labels is None, "ranked")
    settings = {
        "method": method, "preset": preset, "masks": masks, "association": association,
        "max_dist_m": REACH * (config or OpenTrack3DConfig()).voxel_m, "labels": labels,
        "vocabulary": None if labels is None else len(words.names), "superpoints": superpoints,
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
        InputError: missing or mismatched files, or a class-aware measure: the labels of a cloud have no names.
    """
    if not class_agnostic:
        raise InputError(f"{folder}: the labels of a bare cloud have no names to compare with; pass --class-agnostic")
    scene = SceneMap.load(folder / "scene.safetensors")
    truth = read_truth(points, gt)
    reach_m = REACH * scene.voxel_m if max_dist_m is None else max_dist_m
    said = {scene.frames: predict(scene, truth.vertices, reach_m)}
    result, _, quality = score_runs([folder.name], [unlabelled(truth)], [said], THINGS, True, scores_as)
    answer = result.as_json((), {"map": str(folder), "max_dist_m": reach_m, "scores": scores_as})
    answer["purity"], answer["completeness"] = round(quality.purity, 4), round(quality.completeness, 4)
    return answer


SWITCHES: dict[str, Callable[[OpenTrack3DConfig], OpenTrack3DConfig]] = {
    "look": lambda c: replace(c, look=0.0),
    "overlap": lambda c: replace(c, overlap=False),
    "denoise": lambda c: replace(c, denoise=False),
    "consistency": lambda c: replace(c, consistency=0.0),
    "merge": lambda c: replace(c, merge=0.0),
    "mask-pooling": lambda c: replace(c, pool="box"),
}
"""What `without` may name: the ablations of the paper's tables 5 and 6."""


def switched_off(without: Sequence[str], config: OpenTrack3DConfig | None = None) -> OpenTrack3DConfig:
    """The method's config without these parts."""
    config = config or OpenTrack3DConfig()
    for name in without:
        if name not in SWITCHES:
            raise InputError(f"cannot switch off {name!r}; there are: {', '.join(SWITCHES)}")
        config = SWITCHES[name](config)
    return config


def give_identity(mapper: Mapper, recording: Recording) -> None:
    """The oracle of the ladder's last rung: segments know which thing they are, and association goes by that alone."""
    read = truth_masks(recording)

    def ids(frame_index: int) -> torch.Tensor | None:
        id_map = read(frame_index)
        return None if id_map is None else id_map.ids

    embed: Embedder = TruthIdentity(ids, 1000)
    associate: Associator = Fused(
        look=0.0, overlap=0.0, identity=1.0, threshold=0.5, least_look=-1.0, least_contained=0.0, fragment=2.0
    )
    mapper.embed.stage, mapper.associate.stage = embed, associate


CONFIGS = {"scenefun3d": OpenTrack3DConfig(voxel_m=0.005, visible_m=0.02, contained=2.0)}
"""Data sets that ask for other numbers of OpenTrack3D: knobs and switches are small, and parts of larger things
(specification, 3.8)."""


def evaluate_data(
    dataset: str,
    folder: Path,
    method: str = "opentrack3d",
    preset: Preset = "bundled",
    masks: str | None = None,
    labels: LabelsBy | None = None,
    model: str | None = None,
    scenes: Sequence[str] = (),
    every: int | None = None,
    saved: Path | None = None,
    reconstruct: Geometry | None = None,
    placement: Placement | None = None,
    refiner: Path | None = None,
    tick: Callable[[str, int, int], None] | None = None,
) -> DatasetResult:
    """A method on every scene of a data set, in four conventions; see `evaluate_dataset`.

    Args:
        reconstruct, placement, refiner: of moonseg3r, which sees the colour of a recording alone (all of it with
            `sensor`); None: cut3r, aligned, the bundled refiner.

    Raises:
        InputError: no such data set there, frames or truth that cannot be read, weights that are not on this disk, or
            an option of another method.
    """
    namer = None if labels is None else namer_of(labels, preset, model)
    words = dataset_called(dataset).protocol.phrases
    settings = {"method": method, "preset": preset, "masks": masks, "labelled_by": labels, "model": model}
    parts: dict[str, Any]
    run: Callable[[Mapper, Recording, Float[np.ndarray, "v 3"]], Placed] | None
    if method == "moonseg3r":
        geometry, placed = reconstruct or "cut3r", placement or "aligned"
        parts = {"reconstruct": geometry, "refiner": None if refiner is None else load_refiner(refiner)}
        run = partial(map_posed, placement=placed, colour_only=geometry != "sensor")
        settings |= {"reconstruct": geometry, "placement": placed, "refiner": None if refiner is None else str(refiner)}
    else:
        refuse_moonseg3rs(method, {"--reconstruct": reconstruct, "--placement": placement, "--refiner": refiner})
        parts, run = {"config": CONFIGS.get(dataset)}, None
    return evaluate_dataset(
        dataset, folder, lambda path, stride: open_source(str(path), every=stride),
        lambda recording: make_mapper(method, preset, words=words, segment=masks_from(recording, masks), **parts),
        None if namer is None else namer.chances, scenes or None, every, saved=saved, settings=settings, progress=tick,
        run=run,
    )
