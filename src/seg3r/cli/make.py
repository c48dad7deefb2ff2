"""Commands that make something: maps, rooms, superpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tyro.conf import Positional

from seg3r.choices import Depth
from seg3r.cli.checks import at_least
from seg3r.cli.terminal import JsonFile, ProgressBar, Size, emit, say, say_table, size
from seg3r.errors import InputError


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
        at_least(0, seed=self.seed)
        from seg3r import api
        from seg3r.rooms import split_seeds

        seed = self.seed if self.seed is not None else split_seeds("test", 1)[0]
        words = "rooms" if find_spec("transformers") is not None else None  # without the extra, things stay unnamed
        with ProgressBar("frame", None) as tick:
            _, figures = api.run(
                f"rooms:{seed}:noisy", self.out, "opentrack3d", seed=seed, vocabulary=words, progress=tick
            )
        emit(self.json, figures)
        say(f"{self.out / 'report.html'} shows {figures['instances']} instances from {figures['frames']} frames")
        say(f"AP {figures['AP']:.3f} AP50 {figures['AP50']:.3f} AP25 {figures['AP25']:.3f}")


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
            say_table(holds)


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
    depth: Depth = "noisy"
    """noisy: range-dependent noise, holes at edges and grazing angles, quantised."""

    def __call__(self) -> None:
        at_least(0, seed=self.seed)
        at_least(1, frames=self.frames)
        height_width = size(self.size)
        from seg3r.files import check_writable
        from seg3r.rooms import write_room

        check_writable(self.out, self.out.absolute().parent)
        write_room(self.seed, self.frames, height_width, self.depth, self.out)
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
        if not (math.isfinite(self.k) and self.k >= 0):
            raise InputError(f"--k {self.k}: a number from 0 on")
        at_least(0, min_verts=self.min_verts)
        import numpy as np

        from seg3r.files import check_file, replacing
        from seg3r.superpoints import mesh_superpoints, read_mesh

        check_file(self.out)
        vertices, faces = read_mesh(self.mesh)
        labels = mesh_superpoints(vertices, faces, self.k, self.min_verts)
        with replacing(self.out, ".npy") as temporary:
            np.save(temporary, labels)
        count = int(labels.max()) + 1 if len(labels) else 0
        emit(self.json, {"vertices": len(labels), "superpoints": count})
        say(f"{self.out}: {count} superpoints of {len(labels)} vertices")
