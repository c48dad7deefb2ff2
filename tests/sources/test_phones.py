"""Recordings of phones and tablets: intrinsics of every frame, frames without a pose, what is not extracted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seg3r.errors import InputError
from seg3r.sources import open_source
from seg3r.sources.scenefun3d import read_trajectory

from . import layouts

POSES = "pose_intrinsic_imu.json"


@pytest.fixture
def iphone(tmp_path: Path) -> Path:
    return layouts.write_scannetpp(tmp_path, layouts.moments())


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return layouts.write_scenefun3d(tmp_path, layouts.moments())


def edit(root: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    told = json.loads((root / POSES).read_text())
    change(told)
    (root / POSES).write_text(json.dumps(told))


def fails(root: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        list(open_source(root))
    assert "\n" not in str(caught.value)
    for word in (str(root), *words):
        assert word in str(caught.value), str(caught.value)


def pincams(root: Path) -> list[Path]:
    return sorted((root / "hires_wide_intrinsics").iterdir())


def test_every_frame_has_its_own_focal_length(iphone: Path) -> None:
    edit(iphone, lambda told: told["frame_000001"]["intrinsic"][0].__setitem__(0, 33.0))
    assert [float(f.camera.K[0, 0]) for f in open_source(iphone)] == [30, 33, 30, 30]  # type: ignore[union-attr]


def test_intrinsics_follow_the_depth(iphone: Path) -> None:
    """Colour is larger than the phone's depth: K of a frame is for the depth's grid, pixel centres included."""
    for n, m in enumerate(layouts.moments()):
        layouts.save_image(np.kron(m.rgb, np.ones((4, 4, 1), np.uint8)), iphone / "rgb" / f"frame_{n:06d}.jpg")
    large = layouts.K.copy()
    large[:2] *= 4
    large[:2, 2] += 1.5
    edit(iphone, lambda told: [entry.update(intrinsic=large.tolist()) for entry in told.values()])
    for frame in open_source(iphone):
        assert frame.camera is not None and frame.camera.size == layouts.SIZE
        np.testing.assert_allclose(frame.camera.K.numpy(), layouts.K, rtol=1e-12)


def test_only_extracted_frames_are_listed(iphone: Path) -> None:
    (iphone / "rgb" / "frame_000001.jpg").unlink()
    (iphone / "rgb" / "frame_000003.jpg").unlink()
    source = open_source(iphone)
    assert [f.index for f in source] == [0, 2] and not source.skipped
    assert [f.index for f in open_source(iphone, every=2)] == [0]


def test_frames_without_an_aligned_pose_are_left_out(iphone: Path) -> None:
    edit(iphone, lambda told: told["frame_000000"].pop("aligned_pose"))
    edit(iphone, lambda told: told["frame_000002"].update(intrinsic=[1, 2, 3]))
    source = open_source(iphone)
    assert [f.index for f in source] == [1, 3]
    assert source.skipped == {"pose missing": 1, "intrinsics unreadable": 1}


def test_a_recording_that_is_not_extracted_says_how(iphone: Path) -> None:
    (iphone / "depth").rename(iphone / "elsewhere")
    fails(iphone, "no depth/", "prepare_iphone_data")
    (iphone / "elsewhere").rename(iphone / "depth")
    edit(iphone, lambda told: [entry.pop("aligned_pose") for entry in told.values()])
    fails(iphone, "aligned_pose", "none of the images")
    (iphone / POSES).write_text("[]")
    fails(iphone, POSES, "one entry per frame")
    (iphone / POSES).write_text("{")
    fails(iphone, POSES, "cannot be read")


def test_the_hint_names_the_folder_inside(tmp_path: Path) -> None:
    layouts.write_scannetpp(tmp_path / "iphone", layouts.moments())
    with pytest.raises(InputError, match="did you mean iphone inside it"):
        open_source(tmp_path)


def test_a_pose_belongs_to_its_frame_alone(video: Path) -> None:
    """COLMAP loses frames: a neighbour's pose, 33 ms away here, is no pose."""
    lines = (video / "hires_poses.traj").read_text().splitlines()
    (video / "hires_poses.traj").write_text("\n".join([lines[0], *lines[2:]]))
    source = open_source(video)
    assert [f.index for f in source] == [0, 2, 3]
    assert source.skipped == {"pose missing": 1}


def test_the_trajectory_takes_the_world_to_the_camera(tmp_path: Path) -> None:
    """A quarter turn about z and a step along x: the camera stands where the inverse says."""
    (tmp_path / "a.traj").write_text(f"1.5 0 0 {np.pi / 2} 1 0 0\n")
    times, poses = read_trajectory(tmp_path / "a.traj")
    assert times.tolist() == [1.5]
    np.testing.assert_allclose(poses[0], [[0, 1, 0, 0], [-1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]], atol=1e-12)


def test_frames_of_the_other_orientation_are_counted(video: Path) -> None:
    images = sorted((video / "hires_wide").iterdir())
    turned = layouts.moments()[1]
    layouts.save_image(np.ascontiguousarray(turned.rgb.transpose(1, 0, 2)), images[1])
    layouts.save_image(layouts.units(turned.depth.T, 1000), video / "hires_depth" / f"{images[1].stem}.png")
    K = layouts.K
    pincams(video)[1].write_text(f"24 32 {K[1, 1]} {K[0, 0]} {K[1, 2]} {K[0, 2]}")
    source = open_source(video)
    assert [f.index for f in source] == [0, 2, 3]
    assert source.skipped == {"colour is not 32x24": 1}


def test_intrinsics_of_another_size_are_counted(video: Path) -> None:
    pincams(video)[2].write_text("320 240 300 310 153 116")
    source = open_source(video)
    assert [f.index for f in source] == [0, 1, 3]
    assert source.skipped == {"intrinsics do not fit the image": 1}


def test_what_a_video_lacks_is_named(video: Path) -> None:
    (video / "hires_poses.traj").write_text("1 2 3")
    fails(video, "hires_poses.traj", "7 in each line")
    pincams(video)[0].write_text("1 2")
    (video / "hires_poses.traj").write_text("1 2 3 4 5 6 7")
    fails(video, "hires_wide_intrinsics", "6")
    (video / "hires_poses.traj").unlink()
    (video / "hires_depth").rename(video / "elsewhere")
    fails(video, "hires_depth and hires_poses.traj")
