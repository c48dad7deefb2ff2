"""Checkpoints of a run: the map, and what stages remember, in a hidden folder beside the one that is being made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file

from seg3r.errors import InputError
from seg3r.files import write_tensors, write_text
from seg3r.lock import beside
from seg3r.mapper import Mapper
from seg3r.protocols import Reconstructor, Remembers
from seg3r.reading import one_line, quoted, reading
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.saved import SavedGeometry
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.sources import Recording

AGAIN = "start again without --resume"
PLACES = ("source", "masks", "vocabulary", "mesh", "geometry", "refiner")
"""Settings that name a file or a folder, or may."""


class Checkpoints:
    """Of a run into `out`. Everything lies under the position of the next frame: whole or not there."""

    def __init__(self, out: Path) -> None:
        self.folder = beside(out.resolve(), "partial")

    def begin(self, mapper: Mapper, recording: Recording, settings: Mapping[str, object], resume: bool) -> int:
        """Prepare the folder; the position in the recording to start from.

        Args:
            settings: what makes two runs the same run.
            resume: go on from the last checkpoint, if there is one.

        Raises:
            InputError: the checkpoint is another run's, or damaged.
        """
        named = {name: _plain_path(name, value) for name, value in settings.items()}
        ours = json.dumps(named, sort_keys=True, default=str)
        checkpoint = self.last()
        if resume and checkpoint is not None:
            with reading(self.folder, "the checkpoint of a run", AGAIN):
                theirs = (self.folder / "settings.json").read_text(encoding="utf-8")
            if theirs != ours:
                raise InputError(f"{self.folder}: the interrupted run had other settings ({quoted(theirs)}); {AGAIN}")
            return self._recall(mapper, recording, checkpoint)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_text(self.folder / "settings.json", ours)
        return 0

    def last(self) -> Path | None:
        """The last one that was finished."""
        whole = sorted(p for p in self.folder.glob("at-*") if p.is_dir())
        return whole[-1] if whole else None

    def save(self, mapper: Mapper, position: int) -> None:
        """Map and memories together. A reconstructor that waits has taken more frames than the map holds.

        Args:
            position: of the next frame.
        """
        before, target, temporary = self.last(), self.folder / f"at-{position:09d}", self.folder / ".tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        mapper.scene.save(temporary / "scene.safetensors")
        write_tensors(temporary / "memory.safetensors", {
            f"{name}.{key}": value.detach().cpu().contiguous().clone()  # a file holds no tensor that is part of another
            for name, stage in _remembering(mapper).items() for key, value in stage.state().items()
        })
        temporary.replace(target)
        if before is not None and before != target:
            shutil.rmtree(before)

    def remove(self, unless_resumable: bool = False) -> None:
        """The run is over, or has left nothing to resume."""
        if not unless_resumable or self.last() is None:
            shutil.rmtree(self.folder)

    def _recall(self, mapper: Mapper, recording: Recording, checkpoint: Path) -> int:
        """Map and memories as they were; a reconstructor that cannot put its memory down sees the frames again.
        Returns the position of the next frame."""
        try:
            with reading(checkpoint, "the checkpoint of a run"):
                position = int(checkpoint.name.removeprefix("at-"))
                mapper.scene = SceneMap.load(checkpoint / "scene.safetensors")
                held = load_file(checkpoint / "memory.safetensors")
                for name, stage in _remembering(mapper).items():
                    stage.restore({k.removeprefix(f"{name}."): v for k, v in held.items() if k.startswith(f"{name}.")})
        except InputError as error:
            raise InputError(f"{checkpoint}: a damaged checkpoint ({one_line(error)}); {AGAIN}") from error
        if _must_replay(mapper.reconstruct):
            for frame in recording.iterate(0):
                if recording.position(frame.index) >= position:
                    break
                mapper.reconstruct(mapper.local(frame))
        return position


def _plain_path(name: str, value: object) -> object:
    """`office/` is `office`, for those settings that name a place."""
    if name not in PLACES or not isinstance(value, str) or not value or "://" in value:
        return value
    return os.path.normpath(value)


def _remembering(mapper: Mapper) -> dict[str, Remembers]:
    """The stages whose memory goes into a checkpoint."""
    stages: dict[str, object] = {"embed": mapper.embed}
    if not _must_replay(mapper.reconstruct):
        stages["reconstruct"] = mapper.reconstruct
    return {name: stage for name, stage in stages.items() if isinstance(stage, Remembers)}


def _must_replay(reconstruct: Reconstructor) -> bool:
    """Whether it may remember what it cannot put down."""
    if isinstance(reconstruct, Joined):
        return _must_replay(reconstruct.geometry) or _must_replay(reconstruct.tokens)
    return not isinstance(reconstruct, Remembers | Sensor | SavedGeometry)
