"""Commands that make something: maps, rooms, superpoints."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from seg3r.cli.terminal import JsonFile, ProgressBar, Size, emit, reasons, say, size, table
from seg3r.errors import InputError

Geometry = Literal["cut3r", "odometry", "sensor", "saved"]


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
        words = "rooms" if find_spec("transformers") is not None else None  # without the extra, things stay unnamed
        figures = _map("opentrack3d", f"rooms:{seed}:noisy", self.out, "bundled", None, 1, False, seed, words)
        emit(self.json, figures)
        say(f"{self.out / 'report.html'} shows {figures['instances']} instances from {figures['frames']} frames")
        say(f"AP {figures['AP']:.3f} AP50 {figures['AP50']:.3f} AP25 {figures['AP25']:.3f}")


@dataclass(frozen=True)
class Run:
    """Map a recording into a folder: scene.ply, instances.json, report.html, crops, scene.safetensors."""

    method: Positional[Literal["opentrack3d", "moonseg3r"]]
    """opentrack3d: posed RGB-D. moonseg3r: a single RGB video."""
    source: Positional[str]
    """A video, a camera index, a folder (RGB-D, TUM, 7-Scenes, ScanNet, Replica, ScanNet++, SceneFun3D), a .sens file,
    or rooms:SEED."""
    out: Path
    """Folder of the map; appears whole, at the end."""
    preset: Literal["bundled", "foundation"] = "bundled"
    """bundled: weight-free and small parts, offline on a CPU."""
    masks: str | None = None
    """Use the id maps in this folder of the recording (or `truth`) instead of a segmenter."""
    vocabulary: str | None = None
    """Words to name things with: rooms, scannet200, replica, scannetpp ..., or a file with one name a line."""
    labels: Literal["nearest", "mllm"] | None = None
    """Who names them: the nearest text, or a multi-modal language model. By default the names beside the masks do, or
    the nearest text where a vocabulary is given and the masks have none."""
    chat: str | None = None
    """Another language model: a name from `seg3r weights list`, a folder, or URL#MODEL of an endpoint."""
    mesh: Path | None = None
    """A mesh in the recording's world: instances follow its superpoints."""
    reconstruct: Geometry | None = None
    """Where moonseg3r takes camera and depth from: a recurrent network, features and plane sweeps, the recording
    itself, or a folder. By default odometry; with the foundation preset cut3r."""
    geometry: Path | None = None
    """The folder of `saved` depth and poses."""
    focal: float | None = None
    """Focal length in pixels, where it is known (odometry)."""
    centre: Annotated[tuple[float, float] | None, arg(metavar="X Y")] = None
    """Principal point in pixels of the frames, column and row, where it is known (odometry). By default the middle."""
    refiner: Path | None = None
    """Another query refiner than the bundled one (moonseg3r): a folder that `seg3r train moonseg3r` made."""
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
            self.method, self.source, self.out, self.preset, self.masks, self.every, self.resume, self.seed,
            self.vocabulary, self.labels, self.chat, self.mesh, self.reconstruct, self.geometry, self.focal,
            self.centre, self.refiner,
        )
        emit(self.json, figures)
        skipped = sum(figures["skipped"].values())
        note = "" if not skipped else f", {skipped} frames skipped ({reasons(figures['skipped'])})"
        named = f" ({figures['named']} named)" if figures["named"] else ""
        for event in figures["events"]:
            say(f"frame {event['frame_index']}: {event['kind']}: {event['text']}")
        say(f"{self.out}: {figures['instances']} instances{named}, {figures['points']} points from {figures['frames']} "
            f"frames at {figures['frames_per_second']} a second{note}")


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
        emit(self.json, holds)
        if self.json is None:
            table(holds)


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

        write_room(self.seed, self.frames, size(self.size), self.depth, self.out)
        say(f"{self.out}: {self.frames} frames of room {self.seed}")


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

        from seg3r.files import replacing
        from seg3r.superpoints import mesh_superpoints, read_mesh

        vertices, faces = read_mesh(self.mesh)
        labels = mesh_superpoints(vertices, faces, self.k, self.min_verts)
        with replacing(self.out, ".npy") as temporary:
            np.save(temporary, labels)
        count = int(labels.max()) + 1 if len(labels) else 0
        emit(self.json, {"vertices": len(labels), "superpoints": count})
        say(f"{self.out}: {count} superpoints of {len(labels)} vertices")


def _map(
    method: Literal["opentrack3d", "moonseg3r"], source: str, out: Path, preset: Literal["bundled", "foundation"],
    masks: str | None, every: int,
    resume: bool, seed: int, vocabulary: str | None = None, labels: Literal["nearest", "mllm"] | None = None,
    chat: str | None = None, mesh: Path | None = None, reconstruct: Geometry | None = None,
    geometry: Path | None = None, focal: float | None = None, centre: tuple[float, float] | None = None,
    refiner: Path | None = None,
) -> dict[str, Any]:
    """`run`, with a bar."""
    from seg3r import api, presets
    from seg3r.datasets.rooms import truth_surface
    from seg3r.presets.masks import masks_from
    from seg3r.superpoints.mesh import read_superpoints

    words = None if vocabulary is None else presets.vocabulary_named(vocabulary)
    recording, parts = api.frames(source, every), presets.preset_named(preset)
    labeler = presets.labeler_for(labels, words, parts, chat)
    segment = masks_from(recording, masks)
    if method == "moonseg3r":
        if mesh is not None:
            raise InputError("moonseg3r maps one camera without a mesh; a mesh goes with opentrack3d")
        reconstruct = reconstruct or parts.geometry
        options = presets.GeometryOptions(focal, centre, geometry, recording.stem, seed)
        mapper = presets.moonseg3r(parts, reconstruct=reconstruct, geometry=options, refiner=refiner, segment=segment)
    else:
        given = {"reconstruct": reconstruct, "geometry": geometry, "focal": focal, "centre": centre, "refiner": refiner}
        if unused := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{method} takes depth and pose as the recording gives them; --{unused[0]} is moonseg3r's")
        mapper = presets.opentrack3d(
            parts, words=None if words is None else words.words, segment=segment,
            superpoints=None if mesh is None else read_superpoints(mesh),
        )
    settings = {
        "method": method, "source": source, "preset": preset, "masks": masks, "every": every, "seed": seed,
        "vocabulary": vocabulary, "labels": labels, "chat": chat, "mesh": None if mesh is None else str(mesh),
        "reconstruct": reconstruct, "geometry": None if geometry is None else str(geometry),
        "focal": focal, "centre": centre, "refiner": None if refiner is None else str(refiner),
    }
    # A map of one camera lies elsewhere than the truth and has another scale: `evaluate rooms` brings them together.
    truth = truth_surface(recording) if reconstruct in (None, "sensor") else None
    total = len(recording) if isinstance(recording, Sized) else None
    with ProgressBar("frame", total) as tick:
        _, figures = api.map_recording(
            mapper, recording, out, settings=settings, resume=resume, truth=truth, progress=tick, labeler=labeler,
            vocabulary=words,
        )
    return figures
