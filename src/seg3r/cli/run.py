"""`seg3r run [METHOD] SOURCE`: a dataclass for each method, whose config is flags.

Flags that both methods know stand in `Run`. A config lies in a light file of its own (`methods/*_config.py`), so that
`--help` answers at once; a number added there is a flag here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro
from tyro.conf import Positional, arg

from seg3r.choices import AnswererName, Geometry, MethodName, PresetName
from seg3r.cli.checks import reading_numbers, refuse_flags_of_others, split_words
from seg3r.cli.terminal import JsonFile, ProgressBar, Switch, counted_reasons, emit, say
from seg3r.errors import InputError
from seg3r.methods.moonseg3r_config import BUNDLED_NUMBERS, MoonSeg3RConfig
from seg3r.methods.opentrack3d_config import OpenTrack3DConfig

if TYPE_CHECKING:
    from seg3r.sources import Recording



@dataclass(frozen=True)
class Run:
    """Map a recording into a folder: scene.ply, instances.json, report.html, crops, scene.safetensors.

    seg3r run [METHOD] SOURCE --out DIR, where METHOD is opentrack3d (posed RGB-D) or moonseg3r (a single RGB video); by
    default what goes with the recording. `seg3r run METHOD --help` lists every number of a method."""

    source: Positional[str]
    """A video, a camera index, a folder (RGB-D, TUM, 7-Scenes, ScanNet, Replica, ScanNet++, SceneFun3D), a .sens file,
    or rooms:SEED."""
    out: Path
    """Folder of the map; appears whole, at the end."""
    preset: PresetName = "bundled"
    """bundled: weight-free and small parts, offline on a CPU. foundation: large ones, see `seg3r weights`."""
    masks: str | None = None
    """Use the id maps in this folder of the recording (or `truth`) instead of a segmenter."""
    vocabulary: str | None = None
    """Words to name things with: rooms, scannet200, replica, scannetpp ..., or a file with one name a line."""
    labels: AnswererName | None = None
    """Who names them: the nearest text, or a multi-modal language model. By default the names beside the masks do, or
    the nearest text where a vocabulary is given and the masks have none."""
    chat: str | None = None
    """Another language model: a name from `seg3r weights list`, a folder, or URL#MODEL of an endpoint."""
    every: int = 1
    """Take every n-th frame."""
    device: str | None = None
    """Where networks run, such as cpu or cuda:1; by default an accelerator where there is one."""
    resume: Switch = False
    """Go on where an interrupted run of the same command stopped."""
    seed: int = 0
    """For parts that draw."""
    json: JsonFile = None
    """Also write the figures here (- : to standard output)."""

    method: ClassVar[MethodName | None] = None

    def __call__(self) -> None:
        from seg3r import api

        recording = api.frames(self.source, self.every)
        with ProgressBar("frame", len(recording) if isinstance(recording, Sized) else None) as tick:
            _, figures = api.run(
                self.source, self.out, self.method, self.preset, masks=self.masks, vocabulary=self.vocabulary,
                labels=self.labels, chat=self.chat, every=self.every, resume=self.resume, seed=self.seed,
                device=self.device, progress=tick, recording=recording, **self.own_arguments(),
            )
        emit(self.json, figures)
        skipped = sum(figures["skipped"].values())
        note = "" if not skipped else f", {skipped} frames skipped ({counted_reasons(figures['skipped'])})"
        named = f" ({figures['named']} named)" if figures["named"] else ""
        for event in figures["events"]:
            say(f"frame {event['frame_index']}: {event['kind']}: {event['text']}")
        say(f"{self.out}: {figures['instances']} instances{named}, {figures['points']} points from {figures['frames']} "
            f"frames at {figures['frames_per_second']} a second{note}")

    def own_arguments(self) -> Mapping[str, Any]:
        """Arguments of `api.run` that are one method's."""
        return {}


@dataclass(frozen=True)
class RunOpenTrack3D(Run):
    """Map posed RGB-D (OpenTrack3D) into a folder: scene.ply, instances.json, report.html, crops, scene.safetensors."""

    mesh: Path | None = None
    """A mesh in the recording's world: instances follow its superpoints."""
    config: OpenTrack3DConfig = field(default_factory=OpenTrack3DConfig)

    method = "opentrack3d"

    def own_arguments(self) -> Mapping[str, Any]:
        return {"mesh": self.mesh, "config": self.config}


@dataclass(frozen=True)
class RunMoonSeg3R(Run):
    """Map a single RGB video (MoonSeg3R) into a folder: scene.ply, instances.json, report.html, crops,
    scene.safetensors."""

    reconstruct: Geometry | None = None
    """Where camera and depth come from: a recurrent network, features and plane sweeps, the recording itself, or a
    folder. By default odometry; with the foundation preset cut3r."""
    geometry: Path | None = None
    """The folder of `saved` depth and poses."""
    focal: float | None = None
    """Focal length in pixels, where it is known (odometry)."""
    centre: Annotated[tuple[float, float] | None, arg(metavar="X Y")] = None
    """Principal point in pixels of the frames, column and row, where it is known (odometry). By default the middle."""
    refiner: Path | None = None
    """Another query refiner than the bundled one: a folder that `seg3r train query-refiner` made."""
    config: MoonSeg3RConfig = BUNDLED_NUMBERS

    method = "moonseg3r"

    def own_arguments(self) -> Mapping[str, Any]:
        return {"reconstruct": self.reconstruct, "geometry": self.geometry, "focal": self.focal, "centre": self.centre,
                "refiner": self.refiner, "config": self.config}


RUNS: Mapping[str, type[Run]] = {"opentrack3d": RunOpenTrack3D, "moonseg3r": RunMoonSeg3R}


def read_run(words: Sequence[str]) -> Run:
    """The command that stands behind `seg3r run`, from its words.

    Raises:
        InputError: a flag of another method than the one that is named or goes with the recording.
    """
    positions, given = split_words(words, RUNS.values())
    named = [i for i in positions[:1] if words[i] in RUNS]
    rest = [word for i, word in enumerate(words) if i not in named]
    if named:
        method = words[named[0]]
    elif not positions or {"-h", "--help"} & set(words):
        return _parsed(Run, rest, "seg3r run", None)
    elif len(positions) > 1:
        raise InputError(f"{words[positions[0]]}: no method; there are {', '.join(RUNS)}")
    else:
        method = _method_for(words[positions[0]])
    refuse_flags_of_others(given, "seg3r run", method, RUNS)
    run = RUNS[method]
    missing: Any = tyro.MISSING
    default = None
    if run is RunMoonSeg3R and given.get("--preset") == "foundation":
        default = RunMoonSeg3R(missing, missing, config=MoonSeg3RConfig())
    return _parsed(run, rest, f"seg3r run {method}", default)


def _parsed(run: type[Run], words: Sequence[str], program: str, default: Run | None) -> Run:
    parts: dict[str, Any] = {} if default is None else {"default": default}
    with reading_numbers():
        parsed: Run = tyro.cli(run, prog=program, args=words, config=(tyro.conf.OmitArgPrefixes,), **parts)
    return parsed


def _method_for(source: str) -> MethodName:
    """What goes with a recording, said in one line on standard error."""
    from seg3r import api

    recording: Recording = api.frames(source)
    method = api.method_for(recording)
    holds = "depth and poses" if method == "opentrack3d" else "colour alone"
    sys.stderr.write(f"{method}: the recording has {holds}; `seg3r run METHOD` takes another method\n")
    return method
