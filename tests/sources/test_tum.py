"""Pairing by time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from seg3r.errors import InputError
from seg3r.sources import open_source
from seg3r.sources.tum import pose_from_quaternion

from . import layouts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return layouts.write_tum(tmp_path, layouts.moments())


def drop_line(path: Path, number: int) -> None:
    lines = path.read_text().splitlines()
    del lines[number + 1]
    path.write_text("\n".join(lines))


def test_without_a_partner_in_time(folder: Path) -> None:
    drop_line(folder / "depth.txt", 1)
    drop_line(folder / "groundtruth.txt", 2)
    source = open_source(folder)
    assert [f.index for f in source] == [0, 3]
    assert source.skipped == {"no depth within 0.02 s": 1, "no pose within 0.02 s": 1}


def test_listed_but_not_there(folder: Path) -> None:
    next(iter(sorted((folder / "rgb").iterdir()))).unlink()
    source = open_source(folder)
    assert [f.index for f in source] == [1, 2, 3]
    assert source.skipped == {"colour unreadable": 1}


def test_times_are_the_recordings_own(folder: Path) -> None:
    assert next(iter(open_source(folder))).time_s == pytest.approx(1305031102.175304, abs=1e-6)


def test_lists_that_cannot_be_read(folder: Path) -> None:
    (folder / "groundtruth.txt").write_text("# t x y z\n1.0 2.0 3.0\n")
    with pytest.raises(InputError, match=r"expected 8 numbers in each line, got '1.0 2.0 3.0'"):
        open_source(folder)
    (folder / "groundtruth.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=r"no pose within 0.02 s \(4\)"):
        open_source(folder)
    (folder / "groundtruth.txt").unlink()
    with pytest.raises(InputError, match=r"no groundtruth.txt"):
        open_source(folder)


@given(st.integers(0, 2**31), st.floats(0.5, 2.0))
def test_quaternions(seed: int, length: float) -> None:
    rotation = Rotation.random(random_state=seed)
    pose = pose_from_quaternion([1.0, 2.0, 3.0, *(length * rotation.as_quat())])
    np.testing.assert_allclose(pose[:3, :3], rotation.as_matrix(), atol=1e-12)
    assert pose[:, 3].tolist() == [1, 2, 3, 1]


def test_the_zero_quaternion_is_no_pose() -> None:
    assert not np.isfinite(pose_from_quaternion([0.0] * 7)).all()


@pytest.mark.parametrize("name", ["/etc/hostname", "../elsewhere.png", "rgb/../../elsewhere.png", ""])
@pytest.mark.parametrize("listed", ["rgb.txt", "depth.txt"])
def test_lists_name_no_files_outside_the_recording(listed: str, name: str, tmp_path: Path) -> None:
    root = layouts.write_tum(tmp_path / "walk", layouts.moments())
    lines = (root / listed).read_text().splitlines()
    lines[1] = f"{lines[1].split()[0]} {name}"
    (root / listed).write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"names no file in the recording"):
        open_source(root)
