"""A run that is cut anywhere and resumed ends in the same bytes, though its reconstructor and its embedder remember."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r import resume
from seg3r.embed.patches import PatchGrid
from seg3r.id_maps import folder_reader
from seg3r.mapper import Mapper
from seg3r.mapping import map_recording
from seg3r.methods.moonseg3r import MoonSeg3RConfig, moonseg3r
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.protocols import Reconstructor
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.segment.saved import SavedMasks
from seg3r.sources import Recording, open_source
from tests.reconstruct.remembering import Late, Stubborn, Tokens
from tests.worlds import table_scene, walk, write_recording

running = import_module("seg3r.mapping")  # `seg3r.api.run` itself is the function

FRAMES, LAG = 10, 3
SIZES = QueryRefinerConfig(tokens=3, features=81, width=16, heads=2, ffn=16, psi=16, layers=1)
SETTINGS = {"method": "moonseg3r"}


class Cut(BaseException):
    """The power goes."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Its fourth frame has no pose: positions are not counts."""
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, walk(table_scene(), FRAMES, (90, 120)))
    np.savetxt(folder / "poses" / "00003.txt", np.full((4, 4), np.nan))
    return open_source(str(folder))


def geometry(kind: str) -> Reconstructor:
    if kind == "at once":
        return Joined(Sensor(), Tokens())
    return Joined(Late(Sensor(), LAG) if kind == "late" else Stubborn(Sensor(), LAG), Tokens())


def mapper(recording: Recording, kind: str) -> Mapper:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        refiner = QueryRefiner(SIZES)
    assert recording.root is not None
    segment = SavedMasks(folder_reader(recording.root / "masks_truth", recording.stem))
    return moonseg3r(geometry(kind), PatchGrid(), refiner, MoonSeg3RConfig(match=1.0), segment=segment)


def said(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in ("scene.safetensors", "scene.ply", "instances.json")]


@pytest.fixture(scope="module")
def whole(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[bytes]]:
    """Kind of geometry -> what a run writes that nobody cuts."""

    @cache
    def run(kind: str) -> list[bytes]:
        out = tmp_path_factory.mktemp("whole") / "map"
        scene, figures = map_recording(mapper(recording, kind), recording, out, settings=SETTINGS)
        assert figures["frames"] == FRAMES - 1, "finish() was called: the last frames are there"
        assert len(scene) > 0
        return said(out)

    return run


@pytest.mark.parametrize("kind", ["at once", "late", "cannot put it down"])
@pytest.mark.parametrize("at", [2, 6])
def test_cut_between_frames(
    whole: Callable[[str], list[bytes]], kind: str, at: int, recording: Recording, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "CHECKPOINT_S", 0.0)
    calls = 0

    def progress(frames: int, instances: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at + 1:
            raise Cut

    with pytest.raises(Cut):
        map_recording(mapper(recording, kind), recording, tmp_path / "map", settings=SETTINGS, progress=progress)
    assert not (tmp_path / "map").exists()
    _, figures = map_recording(mapper(recording, kind), recording, tmp_path / "map", settings=SETTINGS, resume=True)
    assert figures["resumed_at"] == at + (at > 3)
    assert said(tmp_path / "map") == whole(kind)


@pytest.mark.parametrize("where", ["before the scene", "before the memory", "before the name", "before the old goes",
                                   "while the old goes", "in finish"])
def test_cut_within_a_checkpoint(
    whole: Callable[[str], list[bytes]], where: str, recording: Recording, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Map and memory are of the same frame, or the checkpoint before them is."""
    monkeypatch.setattr(running, "CHECKPOINT_S", 0.0)
    first = mapper(recording, "late")
    count = 0

    def failing(run):  # type: ignore[no-untyped-def]
        def at_fifth(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal count
            count += 1
            if count == 5:
                if where == "while the old goes":
                    (Path(args[0]) / "memory.safetensors").unlink()
                raise Cut
            return run(*args, **kwargs)
        return at_fifth

    if where == "before the scene":
        monkeypatch.setattr(SceneMap, "save", failing(SceneMap.save))
    elif where == "before the memory":
        monkeypatch.setattr(resume, "write_tensors", failing(resume.write_tensors))
    elif where == "before the name":
        own = Path.replace
        cut = failing(own)
        monkeypatch.setattr(Path, "replace", lambda a, b: (cut if a.name == ".tmp" else own)(a, b))
    elif where == "in finish":
        def finish() -> None:
            raise Cut
        monkeypatch.setattr(first, "finish", finish)
    else:
        remove = shutil.rmtree
        cut = failing(remove)
        monkeypatch.setattr(
            resume.shutil, "rmtree",
            lambda path, **kwargs: (cut if Path(path).name.startswith("at-") else remove)(path, **kwargs),
        )
    with pytest.raises(Cut):
        map_recording(first, recording, tmp_path / "map", settings=SETTINGS)
    monkeypatch.undo()
    map_recording(mapper(recording, "late"), recording, tmp_path / "map", settings=SETTINGS, resume=True)
    assert said(tmp_path / "map") == whole("late")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
