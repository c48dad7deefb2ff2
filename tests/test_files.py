"""Files appear whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from seg3r import files
from seg3r.errors import InputError


def names_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_takes_its_place_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    files.write_json(path, {"b": [1, 2.5], "a": "é"})
    assert json.loads(path.read_text()) == {"b": [1, 2.5], "a": "é"}
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    files.write_tensors(tmp_path / "t.safetensors", {"x": torch.arange(3)})
    files.write_tensors(tmp_path / "n.safetensors", {"x": np.arange(3)}, {"seg3r": "header"})
    assert load_file(tmp_path / "t.safetensors")["x"].tolist() == load_file(tmp_path / "n.safetensors")["x"].tolist()
    assert stat.S_IMODE((tmp_path / "t.safetensors").stat().st_mode) == 0o666 & ~umask


def test_a_writer_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert path.read_text() == "old" and names_in(tmp_path) == ["a.txt"]
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(path, {"a": float("nan")})
    assert path.read_text() == "old"


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(InputError, match=r"t.safetensors: cannot be written .*No space left"):
        files.write_tensors(tmp_path / "t.safetensors", {"x": torch.zeros(2)})
    assert names_in(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_is_never_replaced() -> None:
    for check in (files.check_file, lambda p: files.write_bytes(p, b"x")):
        with pytest.raises(InputError, match="/dev/full: no regular file"):
            check(Path("/dev/full"))


@pytest.mark.parametrize("name", [".", "/", "folder", "file/inside"])
def test_places_that_take_no_file_are_told_beforehand(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        files.check_file(tmp_path / name if name not in (".", "/") else Path(name))


def test_a_folder_takes_its_place_and_foreign_files_stay(tmp_path: Path) -> None:
    out = tmp_path / "map"
    out.mkdir()
    (out / "ours.txt").write_text("old")
    (out / "theirs.txt").write_text("kept")
    files.replace_folder(out, lambda folder: files.write_bytes(folder / "ours.txt", b"new"), ("ours.txt", "gone.txt"))
    assert {p.name: p.read_text() for p in out.iterdir()} == {"ours.txt": "new", "theirs.txt": "kept"}
    assert names_in(tmp_path) == ["map"]


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "map[1]"
    for name in (".map[1].0a1b2c3d.new", ".map[1].0a1b2c3d.old", ".other.0a1b2c3d.new", ".map[1].notes.new"):
        (tmp_path / name).mkdir()
    for name in (".map[1].0a1b2c3d.tmp", ".map[1].0a1b2c3d.tmp.npy", ".map[1].partial", ".map[12].0a1b2c3d.tmp"):
        (tmp_path / name).write_text("")
    (tmp_path / ".map[1].0a1b2c3d.old" / "a.txt").write_text("the map of before: killed between two renames")
    files.clear_left_over(out)
    assert names_in(tmp_path) == [
        ".map[12].0a1b2c3d.tmp", ".map[1].notes.new", ".map[1].partial", ".other.0a1b2c3d.new", "map[1]"
    ]
    assert (out / "a.txt").is_file()


def test_what_is_written_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure then leaves the old content or the new one; the rename itself is flushed last."""
    flushed: list[tuple[str, bool]] = []
    path, folder = tmp_path / "a.txt", tmp_path / "map"
    real = files.flush

    def watch(place: Path) -> None:
        flushed.append(("." + place.suffix.lstrip(".") if place.name.startswith(".") else place.name, path.exists()))
        real(place)

    monkeypatch.setattr(files, "flush", watch)
    files.write_text(path, "new")
    assert flushed == [(".tmp", False), (tmp_path.name, True)]
    flushed.clear()
    files.replace_folder(folder, lambda fresh: fresh.joinpath("one").write_text("1"))
    assert [name for name, _ in flushed] == ["one", ".new", tmp_path.name]


def test_a_folder_that_is_written_clears_what_was_left_beside_it(tmp_path: Path) -> None:
    left = tmp_path / ".map.0123abcd.new"
    left.mkdir()
    (left / "half").write_text("h")
    files.replace_folder(tmp_path / "map", lambda fresh: None)
    assert names_in(tmp_path) == ["map"]


def test_what_others_put_into_a_folder_that_stepped_aside_comes_back(tmp_path: Path) -> None:
    out, aside = tmp_path / "map", tmp_path / ".map.0a1b2c3d.old"
    for folder in (out, aside):
        folder.mkdir()
        (folder / "ours.txt").write_text(folder.name)
    (aside / "theirs.txt").write_text("theirs")
    files.clear_left_over(out, ("ours.txt",))
    assert {p.name: p.read_text() for p in out.iterdir()} == {"ours.txt": "map", "theirs.txt": "theirs"}
    assert names_in(tmp_path) == ["map"]


def test_nothing_of_a_live_run_is_cleared(tmp_path: Path) -> None:
    out, trouble = tmp_path / "map", list[InputError]()

    def another_run() -> None:
        for write in (files.clear_left_over, lambda out: files.replace_folder(out, lambda folder: None)):
            with pytest.raises(InputError, match="another run") as caught:
                write(out)
            trouble.append(caught.value)

    def fill(folder: Path) -> None:
        (folder / "a.txt").write_text("new")
        thread = threading.Thread(target=another_run)
        thread.start()
        thread.join()

    files.replace_folder(out, fill)
    assert len(trouble) == 2 and (out / "a.txt").read_text() == "new" and names_in(tmp_path) == ["map"]
