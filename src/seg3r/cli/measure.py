"""Commands that measure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, subcommand

from seg3r.cli.terminal import JsonFile, ProgressBar, Size, emit, say, say_ap, size


@dataclass(frozen=True)
class EvaluateRooms:
    """A method on procedural rooms: class-agnostic AP, the online curve, and the oracle ladder."""

    method: str = "opentrack3d"
    """As for `run`."""
    preset: Literal["bundled", "foundation"] = "bundled"
    """As for `run`."""
    split: Literal["train", "val", "test"] = "val"
    """Disjoint ranges of seeds; tune on train and val only."""
    masks: Literal["geometric", "truth"] = "geometric"
    """truth: perfect masks."""
    association: Literal["own", "truth"] = "own"
    """truth: perfect association."""
    depth: Literal["clean", "noisy"] = "noisy"
    """As for `rooms`."""
    rooms: int = 8
    """How many."""
    frames: int = 60
    """Of each."""
    size: Size = "320x240"
    """Of the images."""
    without: tuple[str, ...] = ()
    """Switch off: look, overlap, denoise, consistency, merge."""
    json: JsonFile = None
    """Write everything here (- : to standard output)."""

    def __call__(self) -> None:
        from seg3r import api

        with ProgressBar("room", self.rooms) as tick:
            answer = api.evaluate_rooms(
                self.method, self.preset, self.split, self.masks, self.association, self.depth, self.rooms,
                self.frames, size(self.size), without=self.without, progress=tick,
            )
        emit(self.json, answer)
        say(f"purity {answer['purity']:.3f} completeness {answer['completeness']:.3f}")
        say_ap(answer)


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
    scores: Literal["ranked", "constant"] = "ranked"
    """constant: what several published scripts do; AP is then r(1+p)/2."""
    max_dist: float | None = None
    """Metres from a vertex to the nearest owned point; by default 1.5 voxels of the map."""
    json: JsonFile = None
    """Write everything here (- : to standard output)."""

    def __call__(self) -> None:
        from seg3r import api

        answer = api.evaluate_map(self.map, self.points, self.gt, self.class_agnostic, self.scores, self.max_dist)
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
    scores: Literal["ranked", "constant"] = "ranked"
    """As for `map`."""
    json: JsonFile = None
    """Write everything here (- : to standard output)."""

    def __call__(self) -> None:
        from seg3r.evaluate.benchmarks import SCANNET20, SCANNET200
        from seg3r.evaluate.files import evaluate_folder

        protocol = SCANNET20 if self.protocol == "scannet20" else SCANNET200
        result = evaluate_folder(self.gt, self.pred, protocol, self.class_agnostic, self.scores)
        answer = result.as_json()
        emit(self.json, answer)
        say_ap(answer)


def evaluate(
    what: Annotated[EvaluateRooms, subcommand("rooms")]
    | Annotated[EvaluateMap, subcommand("map")]
    | Annotated[EvaluateFiles, subcommand("files")],
) -> EvaluateRooms | EvaluateMap | EvaluateFiles:
    """Instance AP of a method on rooms, of a map, or of prediction files."""
    return what
