"""Checkpoints of a run that a power failure has cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seg3r.embed.patches import PatchGrid
from seg3r.errors import InputError
from seg3r.mapper import Mapper
from seg3r.methods.moonseg3r import MoonSeg3RConfig, moonseg3r
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.sensor import Sensor
from seg3r.resume import Checkpoints
from seg3r.segment.saved import SavedMasks, folder_reader
from seg3r.sources import Recording, open_source
from tests.reconstruct.remembering import Late, Tokens
from tests.worlds import table_scene, walk, write_recording

SETTINGS = {"method": "moonseg3r"}
SIZES = QueryRefinerConfig(tokens=3, features=81, width=16, heads=2, ffn=16, psi=16, layers=1)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, walk(table_scene(), 4, (60, 80)))
    return open_source(str(folder))


def mapper(recording: Recording) -> Mapper:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        refiner = QueryRefiner(SIZES)
    assert recording.root is not None
    segment = SavedMasks(folder_reader(recording.root / "masks_truth", recording.stem))
    return moonseg3r(Joined(Late(Sensor(), 1), Tokens()), PatchGrid(), refiner, MoonSeg3RConfig(match=1.0), segment)


@pytest.fixture
def saved(recording: Recording, tmp_path: Path) -> Checkpoints:
    """Of a run that came as far as its third frame."""
    checkpoints, running = Checkpoints(tmp_path / "map"), mapper(recording)
    assert checkpoints.begin(running, recording, SETTINGS, resume=False) == 0
    for frame in list(recording)[:3]:
        running.step(frame)
    checkpoints.save(running, 3)
    return checkpoints


def test_a_sound_checkpoint_is_gone_on_from(saved: Checkpoints, recording: Recording) -> None:
    later = mapper(recording)
    assert saved.begin(later, recording, SETTINGS, resume=True) == 3
    assert later.scene.frames == 2


@pytest.mark.parametrize("name", ["scene.safetensors", "memory.safetensors", "settings.json"])
@pytest.mark.parametrize("left", [None, 0, 7, 200])
def test_a_cut_checkpoint_is_one_line_that_offers_to_start_again(
    name: str, left: int | None, saved: Checkpoints, recording: Recording
) -> None:
    last = saved.last()
    assert last is not None
    path = (saved.folder if name == "settings.json" else last) / name
    content = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(content[: min(left, len(content) - 1)])
    with pytest.raises(InputError, match=r"again without --resume|run without --resume") as caught:
        saved.begin(mapper(recording), recording, SETTINGS, resume=True)
    assert str(saved.folder) in str(caught.value) and str(caught.value).isprintable()
    assert saved.begin(mapper(recording), recording, SETTINGS, resume=False) == 0
