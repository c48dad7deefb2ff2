"""The command line. Only what parses words stands here, so that `--help` answers at once; the work is in `api`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg, subcommand

JsonFile = Annotated[str | None, arg(metavar="FILE")]
Size = Annotated[str, arg(metavar="WxH")]


@dataclass(frozen=True)
class Demo:
    """Map a noisy procedural room offline and write a page about it."""

    out: Path = Path("out/demo")
    """Folder of the map."""
    seed: int | None = None
    """Of the room; by default the first of the test split."""
    json: JsonFile = None
    """Also write the figures here (- : to standard output)."""

    def __call__(self) -> None:
        from seg3r.rooms import split_seeds

        seed = self.seed if self.seed is not None else split_seeds("test", 1)[0]
        figures = _map("opentrack3d", f"rooms:{seed}:noisy", self.out, "bundled", None, 1, False, seed)
        _emit(self.json, figures)
        _say(f"{self.out / 'report.html'} shows {figures['instances']} instances from {figures['frames']} frames")
        _say(f"AP {figures['AP']:.3f} AP50 {figures['AP50']:.3f} AP25 {figures['AP25']:.3f}")


@dataclass(frozen=True)
class Run:
    """Map a recording into a folder: scene.ply, instances.json, report.html, crops, scene.safetensors."""

    method: Positional[str]
    """opentrack3d: posed RGB-D."""
    source: Positional[str]
    """A video, a camera index, a folder (RGB-D, TUM, 7-Scenes, ScanNet, Replica), a .sens file, or rooms:SEED."""
    out: Path
    """Folder of the map; appears whole, at the end."""
    preset: Literal["bundled", "foundation"] = "bundled"
    """bundled: weight-free and small parts, offline on a CPU."""
    masks: str | None = None
    """Use the id maps in this folder of the recording (or `truth`) instead of a segmenter."""
    every: int = 1
    """Take every n-th frame."""
    resume: bool = False
    """Go on where an interrupted run of the same command stopped."""
    seed: int = 0
    """For parts that draw."""
    json: JsonFile = None
    """Also write the figures here (- : to standard output)."""

    def __call__(self) -> None:
        figures = _map(
            self.method, self.source, self.out, self.preset, self.masks, self.every, self.resume, self.seed
        )
        _emit(self.json, figures)
        skipped = sum(figures["skipped"].values())
        note = "" if not skipped else f", {skipped} frames skipped ({_reasons(figures['skipped'])})"
        _say(f"{self.out}: {figures['instances']} instances, {figures['points']} points from {figures['frames']} frames"
             f" at {figures['frames_per_second']} a second{note}")


@dataclass(frozen=True)
class Info:
    """What a source holds."""

    source: Positional[str]
    """As for `run`."""
    json: JsonFile = None
    """Write it here as JSON (- : to standard output)."""

    def __call__(self) -> None:
        from seg3r import api

        holds = api.frames(self.source).describe()
        _emit(self.json, holds)
        if self.json is None:
            _table(holds)


@dataclass(frozen=True)
class Rooms:
    """Write one procedural room as an RGB-D recording with truth."""

    out: Path
    """A new folder."""
    seed: int = 0
    """Of the room and of the walk."""
    frames: int = 60
    """Length of the walk."""
    size: Size = "320x240"
    """Of the images."""
    depth: Literal["clean", "noisy"] = "noisy"
    """noisy: range-dependent noise, holes at edges and grazing angles, quantised."""

    def __call__(self) -> None:
        from seg3r.rooms import write_room

        write_room(self.seed, self.frames, _size(self.size), self.depth, self.out)
        _say(f"{self.out}: {self.frames} frames of room {self.seed}")


@dataclass(frozen=True)
class Superpoints:
    """Over-segment a mesh as ScanNet's Segmentator does (Felzenszwalb and Huttenlocher on vertex normals)."""

    mesh: Positional[Path]
    """A .ply mesh."""
    out: Path
    """.npy: one label per vertex."""
    k: float = 0.01
    """Larger: larger superpoints."""
    min_verts: int = 20
    """Smaller ones join a neighbour."""
    json: JsonFile = None
    """Also write the counts here (- : to standard output)."""

    def __call__(self) -> None:
        import numpy as np

        from seg3r.superpoints import mesh_superpoints, read_mesh

        vertices, faces = read_mesh(self.mesh)
        labels = mesh_superpoints(vertices, faces, self.k, self.min_verts)
        temporary = self.out.with_name(f".{self.out.name}.tmp.npy")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        np.save(temporary, labels)
        temporary.replace(self.out)
        count = int(labels.max()) + 1 if len(labels) else 0
        _emit(self.json, {"vertices": len(labels), "superpoints": count})
        _say(f"{self.out}: {count} superpoints of {len(labels)} vertices")


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

        with _progress("room", self.rooms) as tick:
            answer = api.evaluate_rooms(
                self.method, self.preset, self.split, self.masks, self.association, self.depth, self.rooms,
                self.frames, _size(self.size), without=self.without, progress=tick,
            )
        _emit(self.json, answer)
        _say(f"purity {answer['purity']:.3f} completeness {answer['completeness']:.3f}")
        _say_ap(answer)


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
        _emit(self.json, answer)
        _say_ap(answer)


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
        _emit(self.json, answer)
        _say_ap(answer)


def evaluate(
    what: Annotated[EvaluateRooms, subcommand("rooms")]
    | Annotated[EvaluateMap, subcommand("map")]
    | Annotated[EvaluateFiles, subcommand("files")],
) -> EvaluateRooms | EvaluateMap | EvaluateFiles:
    """Instance AP of a method on rooms, of a map, or of prediction files."""
    return what


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": Demo, "run": Run, "evaluate": evaluate, "superpoints": Superpoints, "rooms": Rooms, "info": Info,
}


def main(words: Sequence[str] | None = None) -> None:
    """Parse, run, and turn every error a user can mend into one line and a non-zero exit."""
    given = _with_json_target(list(sys.argv[1:] if words is None else words))
    command: Any = tyro.extras.subcommand_cli_from_dict(
        COMMANDS, prog="seg3r", args=given,
        description="Online 3D maps of object instances from RGB-D video.",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    from seg3r.errors import InputError, MissingExtraError

    try:
        command()
    except (InputError, MissingExtraError, OSError) as error:
        _fail(f"{error}", 2)
    except KeyboardInterrupt:
        _fail("interrupted; the same command with --resume goes on where it stopped", 130)


def _with_json_target(words: list[str]) -> list[str]:
    """`--json` without a file means standard output."""
    out: list[str] = []
    for i, word in enumerate(words):
        out.append(word)
        if word == "--json" and (i + 1 == len(words) or words[i + 1].startswith("--")):
            out.append("-")
    return out


def _map(
    method: str, source: str, out: Path, preset: Literal["bundled", "foundation"], masks: str | None, every: int,
    resume: bool, seed: int,
) -> dict[str, Any]:
    """`run`, with a bar."""
    from seg3r import api

    recording = api.frames(source, every)
    mapper = api.make_mapper(method, preset, segment=api.masks_from(recording, masks))
    settings = {"method": method, "source": source, "preset": preset, "masks": masks, "every": every, "seed": seed}
    total = len(recording) if isinstance(recording, Sized) else None
    with _progress("frame", total) as tick:
        _, figures = api.map_recording(
            mapper, recording, out, settings, resume, api.truth_surface(recording), tick
        )
    return figures


class _progress:  # noqa: N801  (used as a function)
    """A bar on standard error: done, how many a second, and how many instances so far."""

    def __init__(self, what: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]:.1f}/s"),
            TimeRemainingColumn(), TextColumn("{task.fields[instances]} instances"), console=Console(stderr=True),
        )
        self._task = self._bar.add_task(what, total=total, instances=0, speed=0.0)

    def __enter__(self) -> Any:
        self._bar.start()
        return self._tick

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _tick(self, done: int, instances: int) -> None:
        speed = self._bar.tasks[0].speed or 0.0
        self._bar.update(self._task, completed=done, instances=instances, speed=speed)


def _size(text: str) -> tuple[int, int]:
    """(H, W) of "WxH"."""
    from seg3r.errors import InputError

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise InputError(f"--size {text}: expected WIDTHxHEIGHT, as in 320x240")
    return int(parts[1]), int(parts[0])


def _emit(target: str | None, content: Mapping[str, Any]) -> None:
    import json

    from seg3r.api import write_json

    if target == "-":
        _say(json.dumps(content, indent=2, default=str))
    elif target is not None:
        write_json(Path(target), content)


def _say_ap(answer: Mapping[str, Any]) -> None:
    values = {name: answer[name] for name in ("AP", "AP50", "AP25")}
    _say(" ".join(f"{name} {'-' if value is None else format(value, '.3f')}" for name, value in values.items()))


def _table(content: Mapping[str, Any]) -> None:
    width = max(map(len, content), default=0)
    for name, value in content.items():
        _say(f"{name:{width}}  {value}")


def _reasons(skipped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in skipped.items())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"seg3r: {' '.join(message.split())}\n")
    sys.exit(code)
