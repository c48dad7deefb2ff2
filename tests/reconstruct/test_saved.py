"""Geometry from files: what is there comes back, what is not is no view, what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seg3r.errors import InputError
from seg3r.geometry import look_at, transform, unproject
from seg3r.protocols import Reconstructor
from seg3r.reconstruct.saved import SavedGeometry
from seg3r.types import Camera, Frame

K = torch.tensor([[20.0, 0.0, 11.5], [0.0, 20.0, 7.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
SIZE = (16, 24)


def frame(index: int, size: tuple[int, int] = SIZE) -> Frame:
    rgb = torch.randint(0, 255, (*size, 3), generator=torch.Generator().manual_seed(index), dtype=torch.uint8)
    return Frame(index, index / 10, rgb)


def pose(index: int) -> torch.Tensor:
    eye = torch.tensor([0.1 * index, 0.2, 1.0], dtype=torch.float64)
    target, up = torch.tensor([3.0, 0.5, 0.2]).double(), torch.tensor([0.0, 0.0, 1.0]).double()
    return look_at(eye, target, up)


def depth_of(index: int) -> np.ndarray:
    depth = np.random.default_rng(index).integers(500, 4000, SIZE).astype(np.uint16)
    depth[:2] = 0
    return depth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("depth", "poses", "confidence"):
        (tmp_path / name).mkdir()
    np.savetxt(tmp_path / "intrinsics.txt", K.numpy())
    for i in range(3):
        np.savetxt(tmp_path / "poses" / f"{i:05d}.txt", pose(i).numpy())
        if i < 2:
            Image.fromarray(depth_of(i)).save(tmp_path / "depth" / f"{i:05d}.png")
    sure = np.full(SIZE, 255, np.uint8)
    sure[:, :5] = 0
    sure[:, 5:9] = 51
    Image.fromarray(sure).save(tmp_path / "confidence" / "00001.png")
    return tmp_path


def test_what_was_saved_comes_back(folder: Path) -> None:
    saved = SavedGeometry(folder)
    assert isinstance(saved, Reconstructor)
    (view,) = saved(frame(0))
    depth = torch.from_numpy(depth_of(0).astype(np.float32) / 1000)
    torch.testing.assert_close(view.depth, depth)
    torch.testing.assert_close(view.camera.T_world_cam, pose(0))
    assert bool(((view.confidence == 1) == (depth > 0)).all())
    expected = transform(pose(0), unproject(depth.double(), K)).float()
    torch.testing.assert_close(view.points, expected, atol=1e-5, rtol=1e-5)
    assert saved.finish() == ()


def test_confidence_is_read_and_holes_have_none(folder: Path) -> None:
    (view,) = SavedGeometry(folder)(frame(1))
    assert float(view.confidence[:, :5].max()) == 0
    assert float(view.confidence[5, 6]) == pytest.approx(0.2)
    assert float(view.confidence[:2].max()) == 0


def test_floats_are_metres(folder: Path) -> None:
    metres = np.full(SIZE, 1.5, np.float32)
    metres[0, 0], metres[0, 1], metres[0, 2] = np.nan, np.inf, -1
    np.save(folder / "depth" / "00002.npy", metres)
    (view,) = SavedGeometry(folder)(frame(2))
    assert float(view.depth[0, :3].abs().max()) == 0
    assert float(view.depth[5, 5]) == 1.5


def test_a_frame_without_geometry_gives_no_view(folder: Path) -> None:
    saved = SavedGeometry(folder)
    assert saved(frame(2)) == (), "a pose, but no depth"
    (folder / "poses" / "00000.txt").unlink()
    assert saved(frame(0)) == (), "depth, but no pose"
    assert saved(frame(77)) == ()
    assert saved.frames_without == 3
    saved.reset()
    assert saved.frames_without == 0


def test_other_names(folder: Path) -> None:
    (folder / "depth" / "00000.png").rename(folder / "depth" / "frame-000000.png")
    (folder / "poses" / "00000.txt").rename(folder / "poses" / "frame-000000.txt")
    assert len(SavedGeometry(folder, stem="frame-{:06d}".format)(frame(0))) == 1


def test_a_larger_image_is_reduced_to_the_depth(folder: Path) -> None:
    (view,) = SavedGeometry(folder)(frame(0, (32, 48)))
    assert view.frame.rgb.shape == (*SIZE, 3)
    assert view.camera.size == SIZE
    with pytest.raises(InputError, match=r"00000\.png.*24x16.*frame 0 24x24.*aspect"):
        SavedGeometry(folder)(frame(0, (24, 24)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("intrinsics.txt", b"1 2 3\n", "1x3 matrix"),
        ("intrinsics.txt", b"one two", "3x3"),
        ("poses/00000.txt", b"1 0 0\n0 1 0\n0 0 1\n", "3x3 matrix where one of 4x4"),
        ("poses/00000.txt", b"2 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "not a rigid motion"),
        ("poses/00000.txt", b"nan 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "not finite"),
        ("depth/00000.png", b"not an image", "cannot be read"),
    ],
)
def test_errors_name_the_file(folder: Path, name: str, content: bytes, said: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        SavedGeometry(folder)(frame(0))
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_depth_and_confidence_of_the_wrong_kind(folder: Path) -> None:
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "depth" / "00000.png")
    with pytest.raises(InputError, match=r"00000\.png: uint8 16x24"):
        SavedGeometry(folder)(frame(0))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "confidence" / "00001.png")
    with pytest.raises(InputError, match=r"confidence.00001\.png: uint8 4x4; expected"):
        SavedGeometry(folder)(frame(1))
    np.save(folder / "depth" / "00002.npy", np.array([None, 1], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"00002\.npy: cannot be read"):
        SavedGeometry(folder)(frame(2))


def test_a_folder_that_is_none(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        SavedGeometry(tmp_path / "nowhere")
    for path in (folder / "depth").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="nothing here"):
        SavedGeometry(folder)
    (folder / "intrinsics.txt").unlink()
    (folder / "depth" / "00000.png").touch()
    with pytest.raises(InputError, match=r"intrinsics\.txt"):
        SavedGeometry(folder)


def test_what_the_sensor_sees_is_what_was_saved(folder: Path) -> None:
    """The same numbers by either way."""
    from seg3r.reconstruct.sensor import Sensor

    (view,) = SavedGeometry(folder)(frame(0))
    measured = Frame(0, 0.0, frame(0).rgb, view.depth, Camera(K, pose(0), SIZE))
    twin = Sensor(near_m=0.01).view(measured)
    use = view.confidence > 0
    torch.testing.assert_close(view.points[use], twin.points[use], atol=1e-5, rtol=1e-5)
