"""The recording on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg3r.errors import InputError
from seg3r.rooms import CLASSES, write_room
from seg3r.sources import open_source
from seg3r.sources.rooms import RoomsSource

SIZE = (60, 80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rooms") / "seven"
    write_room(7, 4, SIZE, "noisy", out)
    return out


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file()}


def test_reads_back_as_it_streams(folder: Path) -> None:
    written, streamed = list(open_source(folder)), list(RoomsSource(7, 4, SIZE, "noisy"))
    assert len(written) == len(streamed) == 4
    for a, b in zip(written, streamed, strict=True):
        assert a.index == b.index and a.depth is not None and b.depth is not None
        assert a.camera is not None and b.camera is not None
        np.testing.assert_allclose(a.depth.numpy(), b.depth.numpy(), atol=1e-6)
        np.testing.assert_allclose(a.camera.T_world_cam.numpy(), b.camera.T_world_cam.numpy(), atol=1e-6)  # micrometres
        np.testing.assert_allclose(a.camera.K.numpy(), b.camera.K.numpy(), atol=1e-6)
        assert np.abs(a.rgb.numpy().astype(int) - b.rgb.numpy().astype(int)).mean() < 4


def test_truth(folder: Path) -> None:
    import trimesh

    source = RoomsSource(7, 4, SIZE)
    truth = folder / "truth"
    for index in range(4):
        ids, _ = source.truth(index)
        with Image.open(truth / "instances" / f"{index:05d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), ids.numpy())
    about = json.loads((truth / "objects.json").read_text())
    classes = {o["id"]: CLASSES.index(o["name"]) for o in about["objects"]}
    assert tuple(about["classes"]) == CLASSES
    labels = np.array([int(line) for line in (truth / "ids.txt").read_text().split()])
    cloud = trimesh.load(truth / "cloud.ply", process=False)
    assert len(cloud.vertices) == len(labels) > 1000 and len(np.unique(np.asarray(cloud.colors), axis=0)) > 100
    for label in np.unique(labels[labels > 0]):
        assert classes[int(label % 1000)] == label // 1000
    seen = set((labels[labels > 0] % 1000).tolist())
    for question in json.loads((truth / "questions.json").read_text()):
        assert set(question["answer_ids"]) <= seen


def test_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_room(7, 4, SIZE, "noisy", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_refuses_a_taken_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        write_room(7, 1, SIZE, "clean", folder)
    with pytest.raises(InputError, match="clean or noisy"):
        write_room(7, 1, SIZE, "dirty", tmp_path / "out")


def test_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("seg3r.rooms.write.np.savetxt", fail)
    with pytest.raises(OSError, match="disk full"):
        write_room(7, 1, SIZE, "clean", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
