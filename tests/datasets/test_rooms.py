"""What is known to be true of a room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from seg3r.datasets.rooms import SURFACE_M, read_truth, surface_superpoints
from seg3r.datasets.scannet_text import write_ground_truth
from seg3r.errors import InputError
from seg3r.rooms import CLASSES, split_seeds
from seg3r.rooms.cloud import sample_surface, seen_by
from seg3r.sources.rooms import RoomsSource
from seg3r.superpoints.mesh import read_mesh
from tests.datasets.lookalikes import write_ply


def test_superpoints_are_of_what_a_scan_would_hold() -> None:
    """No hidden surface: the wall behind a window's pane would join the pane to the wall around it."""
    (seed,) = split_seeds("val", 1)
    recording = RoomsSource(seed, frames=12, size=(90, 120))
    vertices, superpoints = surface_superpoints(recording)
    samples = sample_surface(recording.room, SURFACE_M)
    seen = seen_by(recording.room, samples, recording.cameras)
    assert 0.1 < seen.mean() < 0.7 and np.array_equal(vertices.numpy(), samples.points[seen])
    assert cKDTree(vertices.numpy()).query(samples.points[~seen])[0].max() > 10 * SURFACE_M
    classes = recording.room.face_class[samples.face[seen]]
    window = classes == CLASSES.index("window")
    size = np.bincount(superpoints.numpy())
    own = np.bincount(superpoints.numpy()[window], minlength=len(size))
    assert window.sum() > 500
    assert (own[superpoints.numpy()[window]] / size[superpoints.numpy()[window]] > 0.9).mean() > 0.95


POINTS = np.random.default_rng(0).normal(size=(5, 3))


def test_points_and_ids_from_files(tmp_path: Path) -> None:
    write_ground_truth(tmp_path / "ids.txt", np.arange(5) + 5001)
    np.save(tmp_path / "a.npy", POINTS)
    write_ply(tmp_path / "a.ply", POINTS)
    for name in ("a.npy", "a.ply"):
        truth = read_truth(tmp_path / name, tmp_path / "ids.txt")
        np.testing.assert_allclose(truth.vertices, POINTS, rtol=1e-6)
        assert truth.ids.tolist() == [5001, 5002, 5003, 5004, 5005]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", b""), ("a.npy", b"PK\x03\x04" + b"\0" * 60),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr'"), ("a.npy", b"hello"),
        ("a.ply", b""),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n"),
        ("a.ply", b"\xff\xfe"),
        ("a.obj", b"v 0 0 0\n"), ("a.glb", b"glTF"), ("points", b"0 0 0\n"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
                  b"end_header\n1 2 nan\n"),
    ],
)
def test_points_of_any_other_kind_are_refused_in_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    write_ground_truth(tmp_path / "ids.txt", np.array([5001]))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_truth(tmp_path / name, tmp_path / "ids.txt")
    assert name in str(caught.value) and str(caught.value).isprintable()


def test_a_texture_that_is_not_there_is_not_looked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write_ground_truth(tmp_path / "ids.txt", np.arange(5) + 5001)
    path = write_ply(tmp_path / "a.ply", POINTS, np.array([[0, 1, 2]]))
    path.write_bytes(path.read_bytes().replace(b"comment made by a test", b"comment TextureFile nowhere.png", 1))
    assert len(read_truth(path, tmp_path / "ids.txt").vertices) == 5
    assert len(read_mesh(path)[1]) == 1
    assert capfd.readouterr() == ("", "") and not caplog.records
