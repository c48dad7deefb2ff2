"""Checkpoints of a run: whole or not there, and never another run's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from seg3r.errors import InputError
from seg3r.mapper import Mapper
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.sensor import Sensor
from seg3r.resume import Checkpoints
from seg3r.sources import Recording, open_source
from tests.loops import assert_same_map, mapper_of
from tests.reconstruct.remembering import Late, Stubborn, Tokens
from tests.worlds import table_scene, walk, write_recording

WALKED = walk(table_scene(), 8, (60, 80))
SETTINGS = {"method": "m", "every": 1, "folder": Path("x")}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, WALKED)
    return open_source(folder)


def mapper(reconstruct: object = None) -> Mapper:
    made = mapper_of(WALKED)
    made.reconstruct = reconstruct or Sensor()  # type: ignore[assignment]
    return made


def step(mapper: Mapper, recording: Recording, start: int, end: int) -> None:
    for frame in recording.iterate(start):
        if recording.position(frame.index) >= end:
            return
        mapper.step(frame)


def test_without_a_checkpoint_one_starts_at_the_beginning(tmp_path: Path, recording: Recording) -> None:
    checkpoints = Checkpoints(tmp_path / "map")
    assert checkpoints.folder == tmp_path / ".map.partial" and checkpoints.last() is None
    for resume in (False, True):
        assert checkpoints.begin(mapper(), recording, SETTINGS, resume) == 0
        assert checkpoints.folder.is_dir() and checkpoints.last() is None


def test_only_the_last_checkpoint_stays(tmp_path: Path, recording: Recording) -> None:
    checkpoints, made = Checkpoints(tmp_path / "map"), mapper()
    checkpoints.begin(made, recording, SETTINGS, False)
    for position in (1, 2, 10):
        checkpoints.save(made, position)
        last = checkpoints.last()
        assert last is not None and last.name == f"at-{position:09d}"
        assert {p.name for p in checkpoints.folder.iterdir()} == {"settings.json", last.name}
        assert {p.name for p in last.iterdir()} == {"scene.safetensors", "memory.safetensors"}


@pytest.mark.parametrize(("lag", "geometry"), [(0, Late), (2, Late), (2, Stubborn)])
def test_a_map_and_what_its_stages_remember_go_on(
    tmp_path: Path, recording: Recording, lag: int, geometry: type[Late]
) -> None:
    """Also what cannot put its memory down: it sees the frames again."""
    def joined() -> Joined:
        return Joined(geometry(Sensor(), lag), Tokens())

    whole, first, second = (mapper(joined()) for _ in range(3))
    step(whole, recording, 0, 8)
    checkpoints = Checkpoints(tmp_path / "map")
    checkpoints.begin(first, recording, SETTINGS, False)
    step(first, recording, 0, 5)
    checkpoints.save(first, 5)
    assert Checkpoints(tmp_path / "map").begin(second, recording, SETTINGS, True) == 5
    assert second.scene.frames == 5 - lag
    assert_same_map(second.scene, first.scene)
    step(second, recording, 5, 8)
    assert_same_map(whole.finish(), second.finish())
    carried = [m.reconstruct.tokens.state()["carried"] for m in (whole, second)]  # type: ignore[attr-defined]
    assert torch.equal(*carried)


def test_the_checkpoint_of_another_run_is_refused_and_stays(tmp_path: Path, recording: Recording) -> None:
    checkpoints, made = Checkpoints(tmp_path / "map"), mapper()
    checkpoints.begin(made, recording, SETTINGS, False)
    step(made, recording, 0, 3)
    checkpoints.save(made, 3)
    for other in ({**SETTINGS, "every": 2}, {}, {**SETTINGS, "more": None}):
        with pytest.raises(InputError, match="the interrupted run had other settings") as error:
            checkpoints.begin(mapper(), recording, other, True)
        assert "\n" not in str(error.value) and str(checkpoints.folder) in str(error.value)
    again = mapper()
    assert checkpoints.begin(again, recording, dict(reversed(SETTINGS.items())), True) == 3, "in any order"
    assert again.scene.frames == 3


def test_a_new_run_forgets_the_old_one(tmp_path: Path, recording: Recording) -> None:
    checkpoints, made = Checkpoints(tmp_path / "map"), mapper()
    checkpoints.begin(made, recording, SETTINGS, False)
    checkpoints.save(made, 3)
    fresh = mapper()
    assert checkpoints.begin(fresh, recording, {"method": "another"}, False) == 0
    assert checkpoints.last() is None and fresh.scene.frames == 0


def test_a_checkpoint_that_was_not_finished_is_none(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, made = Checkpoints(tmp_path / "map"), mapper()
    checkpoints.begin(made, recording, SETTINGS, False)
    checkpoints.save(made, 1)
    step(made, recording, 0, 2)

    def fail(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    own = Path.replace
    monkeypatch.setattr(Path, "replace", lambda a, b: fail(a, b) if a.is_dir() else own(a, b))
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(made, 2)
    monkeypatch.undo()
    last = checkpoints.last()
    assert last is not None and last.name == "at-000000001"
    checkpoints.save(made, 2)
    assert {p.name for p in checkpoints.folder.iterdir()} == {"settings.json", "at-000000002"}


def test_what_a_failed_run_leaves(tmp_path: Path, recording: Recording) -> None:
    checkpoints, made = Checkpoints(tmp_path / "map"), mapper()
    checkpoints.begin(made, recording, SETTINGS, False)
    checkpoints.remove(unless_resumable=True)
    assert not list(tmp_path.iterdir()), "there was nothing to resume"
    checkpoints.begin(made, recording, SETTINGS, False)
    checkpoints.save(made, 4)
    checkpoints.remove(unless_resumable=True)
    assert checkpoints.last() is not None
    checkpoints.remove()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.parametrize("name", ["scene.safetensors", "memory.safetensors", "settings.json"])
@pytest.mark.parametrize("left", [None, 0, 7, 200])
def test_a_checkpoint_that_a_power_failure_cut_is_one_line_that_offers_to_start_again(
    name: str, left: int | None, recording: Recording, tmp_path: Path
) -> None:
    checkpoints, made = Checkpoints(tmp_path / "map"), mapper(Joined(Late(Sensor(), 1), Tokens()))
    checkpoints.begin(made, recording, SETTINGS, False)
    step(made, recording, 0, 3)
    checkpoints.save(made, 3)
    last = checkpoints.last()
    assert last is not None
    path = (checkpoints.folder if name == "settings.json" else last) / name
    content = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(content[: min(left, len(content) - 1)])
    fresh = mapper(Joined(Late(Sensor(), 1), Tokens()))
    with pytest.raises(InputError, match="start again without --resume") as caught:
        checkpoints.begin(fresh, recording, SETTINGS, True)
    assert str(checkpoints.folder) in str(caught.value) and str(caught.value).isprintable()
    assert checkpoints.begin(mapper(), recording, SETTINGS, False) == 0
