"""Commands that measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import Positional, arg, subcommand

from seg3r.choices import (
    AnswererName,
    Association,
    Depth,
    LabelerName,
    MaskSource,
    MethodName,
    Placement,
    PresetName,
    ScoresAs,
    Split,
)
from seg3r.cli.checks import at_least
from seg3r.cli.terminal import JsonFile, ProgressBar, Size, Steps, emit, say, say_ap, size
from seg3r.errors import InputError


@dataclass(frozen=True)
class EvaluateRooms:
    """A method on procedural rooms: class-agnostic AP, the online curve, and the oracle ladder."""

    method: MethodName = "opentrack3d"
    """As for `run`."""
    preset: PresetName = "bundled"
    """As for `run`."""
    split: Split = "val"
    """Disjoint ranges of seeds; tune on train and val only."""
    masks: MaskSource = "geometric"
    """truth: perfect masks."""
    association: Association = "own"
    """truth: perfect association."""
    depth: Depth = "noisy"
    """As for `rooms`."""
    rooms: int = 8
    """How many."""
    frames: int = 60
    """Of each."""
    size: Size = "320x240"
    """Of the images."""
    without: tuple[str, ...] = ()
    """Switch off: look, overlap, denoise, consistency, merge, mask-pooling; of moonseg3r 2d, 3d, refine, memory,
    token."""
    labels: Literal["votes", "nearest", "mllm", "truth"] | None = None
    """Class-aware: who names the instances (truth: perfect names). By default class-agnostic."""
    vocabulary: str | None = None
    """Words to name them with; by default the rooms' classes. Alone it means --labels nearest."""
    superpoints: bool = False
    """Instances follow the superpoints of the room's surface (geometry refinement)."""
    start: int = 0
    """First room of the split."""
    reconstruct: Literal["cut3r", "odometry", "sensor"] | None = None
    """Where moonseg3r takes camera and depth from; by default cut3r."""
    placement: Placement | None = None
    """How a map of moonseg3r comes to the truth. unprojected: what each view said of its pixels, at their true place.
    aligned (the default): the map itself, after the similarity that fits its cameras."""
    refiner: Path | None = None
    """As for `run`."""
    device: str | None = None
    """As for `run`."""
    json: JsonFile = None
    """Write everything here (- : to standard output)."""

    def __call__(self) -> None:
        at_least(1, rooms=self.rooms, frames=self.frames)
        at_least(0, start=self.start)
        height_width = size(self.size)
        from seg3r import api
        from seg3r.presets import vocabulary_named

        words = None if self.vocabulary is None else vocabulary_named(self.vocabulary)
        labels = self.labels or (None if words is None else "nearest")
        with ProgressBar("room", self.rooms) as tick:
            answer = api.evaluate_rooms(
                self.method, self.preset, split=self.split, masks=self.masks, association=self.association,
                depth=self.depth, rooms=self.rooms, frames=self.frames, size=height_width, without=self.without,
                labels=labels, vocabulary=words, superpoints=self.superpoints, start=self.start,
                reconstruct=self.reconstruct, placement=self.placement, refiner=self.refiner,
                device=self.device, progress=tick,
            )
        emit(self.json, answer)
        say(f"purity {answer['purity']:.3f} completeness {answer['completeness']:.3f}")
        say_ap(answer)


@dataclass(frozen=True)
class EvaluateQuestions:
    """Questions about procedural rooms: by attribute, relation and function, with none, one or many answers."""

    flag_names: ClassVar[Mapping[str, str]] = {"labels": "naming"}

    answer: Annotated[AnswererName, arg(aliases=["--labels"])] = "nearest"
    """Who answers."""
    naming: LabelerName | None = None
    """Who names the instances first; by default who answers."""
    preset: PresetName = "bundled"
    """As for `run`."""
    chat: str | None = None
    """As for `ask`."""
    split: Split = "val"
    """As for `rooms`."""
    masks: MaskSource = "truth"
    """truth: what is measured is the answers, not the segmenter."""
    rooms: int = 8
    """How many."""
    frames: int = 60
    """Of each."""
    size: Size = "320x240"
    """Of the images."""
    per_kind: int = 8
    """Questions of each kind for a room."""
    start: int = 0
    """First room of the split."""
    device: str | None = None
    """As for `run`."""
    json: JsonFile = None
    """Write everything here (- : to standard output)."""

    def __call__(self) -> None:
        at_least(1, rooms=self.rooms, frames=self.frames, per_kind=self.per_kind)
        at_least(0, start=self.start)
        height_width = size(self.size)
        from seg3r import api

        with ProgressBar("room", self.rooms) as tick:
            answer = api.evaluate_questions(
                self.answer, self.preset, split=self.split, masks=self.masks, rooms=self.rooms, frames=self.frames,
                size=height_width, per_kind=self.per_kind, labels=self.naming, chat=self.chat, start=self.start,
                device=self.device, progress=tick,
            )
        emit(self.json, answer)
        for measure in ("accuracy", "exact", "f1"):
            values = answer[measure].items()
            say(f"{measure:9}" + "  ".join(f"{k} {'-' if v is None else format(v, '.3f')}" for k, v in values))
        say("phrases  " + "  ".join(f"{k} {v:.3f}" for k, v in answer["phrases"].items()))


@dataclass(frozen=True)
class EvaluateDataset:
    """A method on a data set in the layout it ships in."""

    dataset: ClassVar[str]
    flag_names: ClassVar[Mapping[str, str]] = {"folder": "data"}
    data: Positional[Path]
    """Folder of the data set."""
    method: MethodName = "opentrack3d"
    """As for `run`."""
    preset: PresetName = "bundled"
    """As for `run`."""
    masks: str | None = None
    """As for `run`: a folder of id maps in each recording."""
    labels: LabelerName | None = None
    """Who names the instances; by default class-agnostic."""
    chat: str | None = None
    """As for `ask`."""
    scenes: tuple[str, ...] = ()
    """Names of scenes; by default all with truth."""
    every: int | None = None
    """Stride over the frames; by default the one usual for the data set."""
    saved: Path | None = None
    """Keep what was said of each scene here, and go on from it."""
    reconstruct: Literal["cut3r", "odometry", "sensor"] | None = None
    """Where moonseg3r takes camera and depth from; by default cut3r."""
    placement: Placement | None = None
    """How a map of moonseg3r comes to the truth, as for `rooms`; by default aligned."""
    refiner: Path | None = None
    """As for `run`."""
    device: str | None = None
    """As for `run`."""
    json: JsonFile = None
    """Write everything here (- : to standard output)."""

    def __call__(self) -> None:
        at_least(1, every=self.every)
        from seg3r import api
        from seg3r.files import check_writable

        if self.saved is not None:
            check_writable(self.saved, self.saved)
        with Steps() as tick:
            result = api.evaluate_data(
                self.dataset, self.data, self.method, self.preset, masks=self.masks, labels=self.labels,
                chat=self.chat, scenes=self.scenes, every=self.every, saved=self.saved,
                reconstruct=self.reconstruct, placement=self.placement, refiner=self.refiner,
                device=self.device, tick=tick,
            )
        emit(self.json, result.as_json())
        for line in result.lines():
            say(line)


@dataclass(frozen=True)
class EvaluateMap:
    """One map against a labelled cloud."""

    map: Positional[Path]
    """Folder that `run` wrote."""
    points: Path
    """.ply or .npy: the vertices of the truth, in the map's world."""
    gt: Path
    """One label*1000 + instance per point."""
    class_agnostic: bool = False
    """Every instance of the truth counts as one class (a map without labels allows nothing else)."""
    scores: ScoresAs = "ranked"
    """constant: what several published scripts do; AP is then r(1+p)/2."""
    max_dist_m: Annotated[float | None, arg(aliases=["--max-dist"])] = None
    """Metres from a vertex to the nearest owned point; by default 1.5 voxels of the map."""
    json: JsonFile = None
    """Write everything here (- : to standard output)."""

    def __call__(self) -> None:
        if self.max_dist_m is not None and not (math.isfinite(self.max_dist_m) and self.max_dist_m > 0):
            raise InputError(f"--max-dist-m {self.max_dist_m}: a length is more than 0 metres")
        from seg3r import api

        answer = api.evaluate_map(
            self.map, self.points, self.gt, class_agnostic=self.class_agnostic, scores=self.scores,
            max_dist_m=self.max_dist_m,
        )
        emit(self.json, answer)
        say_ap(answer)


@dataclass(frozen=True)
class EvaluateFiles:
    """Predictions of any method in the text formats of the ScanNet benchmark."""

    gt: Path
    """Folder of SCENE.txt: one label*1000 + instance per vertex."""
    pred: Path
    """Folder of SCENE.txt: lines `mask file, label, confidence`."""
    protocol: Literal["scannet20", "scannet200"] = "scannet200"
    """Class list."""
    class_agnostic: bool = False
    """As for `map`."""
    scores: ScoresAs = "ranked"
    """As for `map`."""
    json: JsonFile = None
    """Write everything here (- : to standard output)."""

    def __call__(self) -> None:
        from seg3r.datasets.scannet import SCANNET20, SCANNET200
        from seg3r.evaluate.text_files import evaluate_folder

        protocol = SCANNET20 if self.protocol == "scannet20" else SCANNET200
        result = evaluate_folder(self.gt, self.pred, protocol, self.class_agnostic, self.scores)
        answer = result.as_json()
        emit(self.json, answer)
        say_ap(answer)


class EvaluateScanNet200(EvaluateDataset):
    """A method on ScanNet200: 198 classes; head, common and tail."""

    dataset = "scannet200"


class EvaluateScanNet20(EvaluateDataset):
    """A method on ScanNet: 18 classes."""

    dataset = "scannet20"


class EvaluateReplica(EvaluateDataset):
    """A method on Replica: 48 classes."""

    dataset = "replica"


class EvaluateScanNetPP(EvaluateDataset):
    """A method on ScanNet++: 84 classes."""

    dataset = "scannetpp"


@dataclass(frozen=True)
class EvaluateSceneFun3D(EvaluateDataset):
    """A method on SceneFun3D: functionality segmentation (9 affordances), or tasks in words."""

    dataset = "scenefun3d"
    task: Literal[1, 2] = 1
    """1: functionality segmentation. 2: every description of a visit is asked of its map; --labels says who names and
    answers, by default nearest."""

    def __call__(self) -> None:
        if self.task == 1:
            super().__call__()
            return
        at_least(1, every=self.every)
        from seg3r import api

        if self.labels == "votes":
            raise InputError("--labels votes answers no question; task 2 takes nearest or mllm")
        if self.chat is not None and self.labels != "mllm":
            raise InputError(f"--chat {self.chat}: a language model goes with --labels mllm")
        if self.saved is not None:
            raise InputError(f"--saved {self.saved}: task 2 keeps nothing on the way; leave it out")
        if self.method != "opentrack3d":
            raise InputError(f"{self.method} does not map in the world of the scan; task 2 takes opentrack3d")
        given = {"reconstruct": self.reconstruct, "placement": self.placement, "refiner": self.refiner}
        if unused := [name for name, value in given.items() if value is not None]:
            raise InputError(f"--{unused[0]} is moonseg3r's; task 2 takes opentrack3d")
        with Steps() as tick:
            result = api.evaluate_tasks(
                self.data, self.preset, masks=self.masks, answer=self.labels or "nearest", chat=self.chat,
                scenes=self.scenes, every=self.every, device=self.device, tick=tick,
            )
        emit(self.json, result.as_json())
        for line in result.lines():
            say(line)


def evaluate(
    what: Annotated[EvaluateRooms, subcommand("rooms")]
    | Annotated[EvaluateQuestions, subcommand("questions")]
    | Annotated[EvaluateMap, subcommand("map")]
    | Annotated[EvaluateFiles, subcommand("files")]
    | Annotated[EvaluateScanNet200, subcommand("scannet200")]
    | Annotated[EvaluateScanNet20, subcommand("scannet20")]
    | Annotated[EvaluateReplica, subcommand("replica")]
    | Annotated[EvaluateScanNetPP, subcommand("scannetpp")]
    | Annotated[EvaluateSceneFun3D, subcommand("scenefun3d")],
) -> object:
    """How good is it? On rooms, by questions, a map, prediction files, or a data set."""
    return what
