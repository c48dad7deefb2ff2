"""How good is it? On rooms, by questions, a map against a cloud, a data set, tasks in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from seg3r.choices import (
    AnswererName,
    Association,
    Depth,
    Geometry,
    LabelerName,
    MaskSource,
    MethodName,
    Placement,
    PresetName,
    ScoresAs,
    Split,
)
from seg3r.datasets import dataset_called
from seg3r.datasets.rooms import read_truth, true_rooms
from seg3r.datasets.scenefun3d import SCENEFUN3D
from seg3r.embed.refined_queries import load_refiner
from seg3r.errors import InputError, check_choice
from seg3r.evaluate.datasets import DatasetResult, evaluate_dataset
from seg3r.evaluate.grounding import GroundingResult, evaluate_grounding
from seg3r.evaluate.one_camera import map_posed, measure_monocular
from seg3r.evaluate.questions import measure_questions
from seg3r.evaluate.rooms import measure_rooms, room_settings
from seg3r.evaluate.run import CURVE_EVERY, REACH, MappedRecording, Progress, evaluate_maps, predict
from seg3r.label.label_map import label_map
from seg3r.label.vocabulary import Vocabulary
from seg3r.mapper import Mapper
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.metrics.protocol import THINGS
from seg3r.presets.language import answerer_of, labeler_of
from seg3r.presets.mappers import METHODS, moonseg3r, opentrack3d, preset_named
from seg3r.presets.masks import masks_from
from seg3r.presets.preset import Preset
from seg3r.scene import SceneMap
from seg3r.sources import Recording, open_source

DATASET_CONFIGS = {"scenefun3d": OpenTrack3DConfig(voxel_m=0.005, visible_m=0.02, contained=2.0)}
"""Data sets that ask for other numbers of OpenTrack3D: knobs and switches are small, and parts of larger things
(docs/opentrack3d.md, 3.8)."""


def evaluate_rooms(
    method: MethodName = "opentrack3d",
    preset: PresetName | Preset = "bundled",
    *,
    split: Split = "val",
    masks: MaskSource = "geometric",
    association: Association = "own",
    depth: Depth = "noisy",
    rooms: int = 8,
    frames: int = 60,
    size: tuple[int, int] = (240, 320),
    online_every: int = CURVE_EVERY,
    without: Sequence[str] = (),
    labels: LabelerName | Literal["truth"] | None = None,
    vocabulary: Vocabulary | None = None,
    config: OpenTrack3DConfig | None = None,
    superpoints: bool = False,
    start: int = 0,
    reconstruct: Geometry | None = None,
    placement: Placement | None = None,
    refiner: str | Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Instance AP of a method on procedural rooms, with the oracle ladder (`masks`, `association`, `labels`).

    Args:
        split: disjoint ranges of seeds; tune on train and val only.
        rooms, frames: how many, and of each.
        size: (H, W).
        without: parts of the method to switch off, see its `ABLATIONS`.
        labels, vocabulary, superpoints: see `evaluate.rooms.measure_rooms`.
        config: of opentrack3d, before `without`.
        start: the split's first room to take.
        reconstruct, placement, refiner: of moonseg3r, which has neither labels nor the other parts of the ladder;
            None: cut3r, aligned, the bundled refiner.
        device: of the networks.

    Raises:
        InputError: a word that is none, or an option of another method.
    """
    _check_rooms(split, masks, depth, rooms, frames)
    check_choice("method", method, METHODS)
    check_choice("association", association, ("own", "truth"))
    parts = preset_named(preset, device)
    measured = true_rooms(split, rooms, start, frames, size, depth)
    if method == "moonseg3r":
        if labels is not None or superpoints or association == "truth" or config is not None:
            raise InputError("moonseg3r is measured class-agnostic, with its own association")
        _check_placement(reconstruct, placement)
        answer = measure_monocular(
            measured, parts, parts.moonseg3r.without(*without), masks=masks, reconstruct=reconstruct or "cut3r",
            refiner=None if refiner is None else load_refiner(Path(refiner).expanduser()),
            placement=placement or "aligned", online_every=online_every, progress=progress,
        ).as_json()
    else:
        _refuse_monocular(method, reconstruct, placement, refiner)
        answer = measure_rooms(
            measured, parts, (config or OpenTrack3DConfig()).without(*without), masks=masks, association=association,
            online_every=online_every, labels=labels, vocabulary=vocabulary, superpoints=superpoints,
            progress=progress,
        ).as_json()
    answer["settings"] |= {**room_settings(split, depth, rooms, frames, size, start), "without": sorted(without)}
    return answer


def evaluate_questions(
    answer: AnswererName = "nearest",
    preset: PresetName | Preset = "bundled",
    *,
    split: Split = "val",
    masks: MaskSource = "truth",
    depth: Depth = "noisy",
    rooms: int = 8,
    frames: int = 60,
    size: tuple[int, int] = (240, 320),
    per_kind: int = 8,
    labels: LabelerName | None = None,
    chat: str | None = None,
    start: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask every room of a split the questions of its grammar; see `evaluate.questions.measure_questions`.

    Args:
        answer: who answers.
        labels: who names the instances first; None: who answers.
        per_kind: questions of each kind for a room.
        chat: another language model.
    """
    _check_rooms(split, masks, depth, rooms, frames)
    if per_kind < 1:
        raise InputError(f"per_kind={per_kind}: questions of each kind are counted from 1")
    check_choice("answer", answer, get_args(AnswererName))
    parts = preset_named(preset, device)
    naming = labels or answer
    found = measure_questions(
        true_rooms(split, rooms, start, frames, size, depth), parts,
        labeler_of(naming, parts, chat if naming == "mllm" else None),
        answerer_of(answer, parts, chat if answer == "mllm" or naming != "mllm" else None),
        masks=masks, per_kind=per_kind, progress=progress,
    )
    settings = room_settings(split, depth, rooms, frames, size, start)
    settings |= {"labels": answer, "naming": naming, "preset": parts.name, "masks": masks, "per_kind": per_kind,
                 "model": chat}
    return {**found, "settings": settings}


def evaluate_map(
    folder: str | Path, points: str | Path, gt: str | Path, *, class_agnostic: bool = True,
    scores: ScoresAs = "ranked", max_dist_m: float | None = None,
) -> dict[str, Any]:
    """A map folder against a labelled cloud in its world.

    Args:
        points: .ply or .npy.
        gt: one label * 1000 + instance per point.
        max_dist_m: from a vertex to the nearest owned point; None: 1.5 voxels of the map.

    Raises:
        InputError: missing or mismatched files, or a class-aware measure: the labels of a cloud have no names.
    """
    check_choice("scores", scores, ("ranked", "constant"))
    if not class_agnostic:
        raise InputError(f"{folder}: the labels of a bare cloud have no names to compare with; measure class-agnostic")
    place = Path(folder).expanduser()
    scene = SceneMap.load(place / "scene.safetensors")
    truth = read_truth(Path(points).expanduser(), Path(gt).expanduser())
    reach_m = REACH * scene.voxel_m if max_dist_m is None else max_dist_m
    prediction = predict(scene, truth.vertices, reach_m)
    mapped = MappedRecording(place.name, truth.unlabelled(), {scene.frames: prediction}, {})
    settings = {"map": str(folder), "max_dist_m": reach_m, "scores": scores}
    answer = evaluate_maps([mapped], THINGS, True, settings, scores).as_json()
    answer["online"] = []  # of a finished map nobody knows the way
    return answer


def evaluate_data(
    dataset: str,
    folder: str | Path,
    method: MethodName = "opentrack3d",
    preset: PresetName | Preset = "bundled",
    *,
    masks: str | None = None,
    labels: LabelerName | None = None,
    chat: str | None = None,
    scenes: Sequence[str] = (),
    every: int | None = None,
    saved: str | Path | None = None,
    reconstruct: Geometry | None = None,
    placement: Placement | None = None,
    refiner: str | Path | None = None,
    device: str | None = None,
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
    check_choice("method", method, METHODS)
    parts = preset_named(preset, device)
    labeler = None if labels is None else labeler_of(labels, parts, chat)
    words = dataset_called(dataset).protocol.phrases
    settings = {"method": method, "preset": parts.name, "masks": masks, "labelled_by": labels, "model": chat}
    run = None
    if method == "moonseg3r":
        _check_placement(reconstruct, placement)
        geometry, placed = reconstruct or "cut3r", placement or "aligned"
        loaded = None if refiner is None else load_refiner(Path(refiner).expanduser())
        run = partial(map_posed, placement=placed, colour_only=geometry != "sensor")
        settings |= {"reconstruct": geometry, "placement": placed, "refiner": None if refiner is None else str(refiner)}

        def mapper_for(recording: Recording) -> Mapper:
            return moonseg3r(parts, reconstruct=geometry, refiner=loaded, segment=masks_from(recording, masks))
    else:
        _refuse_monocular(method, reconstruct, placement, refiner)

        def mapper_for(recording: Recording) -> Mapper:
            return opentrack3d(
                parts, DATASET_CONFIGS.get(dataset), words=words, segment=masks_from(recording, masks)
            )

    return evaluate_dataset(
        dataset, Path(folder).expanduser(), lambda path, stride: open_source(str(path), every=stride), mapper_for,
        label=None if labeler is None else labeler.probabilities, scenes=scenes or None, every=every,
        saved=None if saved is None else Path(saved).expanduser(), settings=settings, progress=tick, run=run,
    )


def evaluate_tasks(
    folder: str | Path,
    preset: PresetName | Preset = "bundled",
    *,
    masks: str | None = None,
    answer: AnswererName = "nearest",
    chat: str | None = None,
    scenes: Sequence[str] = (),
    every: int | None = None,
    device: str | None = None,
    tick: Callable[[str, int, int], None] | None = None,
) -> GroundingResult:
    """SceneFun3D's task 2 by OpenTrack3D: every description of a visit is asked of its map, whose instances are named
    first by the same model, with the nine affordances of task 1.

    Args:
        folder: SceneFun3D.
        answer: who names and answers.

    Raises:
        InputError: no visit there, frames or truth that cannot be read, or weights that are not on this disk.
    """
    check_choice("answer", answer, get_args(AnswererName))
    parts = preset_named(preset, device)
    labeler, answerer = labeler_of(answer, parts, chat), answerer_of(answer, parts, chat)
    words = Vocabulary(SCENEFUN3D.phrases)
    settings = {"method": "opentrack3d", "preset": parts.name, "masks": masks, "labels": answer, "model": chat}
    return evaluate_grounding(
        Path(folder).expanduser(), lambda path, stride: open_source(str(path), every=stride),
        lambda recording: opentrack3d(
            parts, DATASET_CONFIGS["scenefun3d"], words=words.words, segment=masks_from(recording, masks)
        ),
        answerer, name=lambda scene: label_map(scene, labeler, words), scenes=scenes or None, every=every,
        settings=settings, progress=tick,
    )


def _check_rooms(split: str, masks: str, depth: str, rooms: int, frames: int) -> None:
    check_choice("split", split, get_args(Split))
    check_choice("masks", masks, get_args(MaskSource))
    check_choice("depth", depth, get_args(Depth))
    for name, count in (("rooms", rooms), ("frames", frames)):
        if count < 1:
            raise InputError(f"{name}={count}: they are counted from 1")


def _check_placement(reconstruct: str | None, placement: str | None) -> None:
    if placement is not None:
        check_choice("placement", placement, get_args(Placement))
    if reconstruct is not None:
        check_choice("reconstruct", reconstruct, get_args(Geometry))


def _refuse_monocular(method: str, reconstruct: object, placement: object, refiner: object) -> None:
    given = {"reconstruct": reconstruct, "placement": placement, "refiner": refiner}
    if unused := [name for name, value in given.items() if value is not None]:
        raise InputError(f"{unused[0]}: {method} takes depth and pose as the recording gives them; it is moonseg3r's")
