"""Bad input: a counted skip for a frame, one clear line for a recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg3r.errors import InputError
from seg3r.sources import open_source
from seg3r.sources.read import intrinsics_file, metres, scale_file

from . import layouts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return layouts.write_rgbd_folder(tmp_path, layouts.moments())


def fails(spec: str | Path, *words: str) -> None:
    """One line, with these words in it and the place."""
    with pytest.raises(InputError) as caught:
        for _ in open_source(spec):
            pass
    message = str(caught.value)
    assert "\n" not in message
    assert str(spec) in message
    for word in words:
        assert word in message, message


def spoilt_pose(change: Callable[[np.ndarray], None]) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        pose = np.loadtxt(root / "poses" / "00001.txt")
        change(pose)
        np.savetxt(root / "poses" / "00001.txt", pose)

    return spoil


def setter(where: tuple[int, int] | slice, value: float) -> Callable[[np.ndarray], None]:
    return lambda pose: pose.__setitem__(where, value)


def rewrite(name: str, data: bytes | Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        path = root / name
        path.write_bytes(data(path.read_bytes()) if callable(data) else data)

    return spoil


def depth_of(numbers: np.ndarray) -> Callable[[Path], None]:
    return lambda root: layouts.save_image(numbers, root / "depth" / "00001.png")


SPOILT = {
    "pose is not finite": [spoilt_pose(setter((0, 3), np.nan)), spoilt_pose(setter(np.s_[:], -np.inf))],
    "pose is not a rigid motion": [
        spoilt_pose(lambda p: p.__imul__(1.1)), spoilt_pose(lambda p: p[:3, 0].__imul__(-1)),
    ],
    "pose has a last row other than 0 0 0 1": [spoilt_pose(setter((3, 3), 2.0))],
    "pose unreadable": [rewrite("poses/00001.txt", b"1 0 0"), rewrite("poses/00001.txt", b"one two"),
                        rewrite("poses/00001.txt", b"\xff\xfe\x00")],
    "pose missing": [lambda root: (root / "poses" / "00001.txt").unlink()],
    "colour unreadable": [rewrite("color/00001.png", lambda data: data[:60]), rewrite("color/00001.png", b""),
                          rewrite("color/00001.png", b"not an image at all")],
    "colour missing": [lambda root: (root / "color" / "00001.png").unlink()],
    "colour is not 32x24": [lambda root: layouts.save_image(np.zeros((12, 16, 3), np.uint8), root / "color/00001.png")],
    "depth missing": [lambda root: (root / "depth" / "00001.png").unlink()],
    "depth unreadable": [rewrite("depth/00001.png", lambda data: data[:60]), rewrite("depth/00001.png", b""),
                         depth_of(np.full((24, 32), 200, np.uint8)), depth_of(np.full((24, 32, 3), 200, np.uint8))],
    "depth is not 32x24": [depth_of(np.full((12, 16), 2000, np.uint16))],
    "depth has no measurement": [depth_of(np.full((24, 32), none, np.uint16)) for none in (0, 65535)],
}


@pytest.mark.parametrize(
    ("reason", "spoil"), [(reason, spoil) for reason, spoils in SPOILT.items() for spoil in spoils]
)
def test_a_bad_frame_is_left_out_and_counted(reason: str, spoil: Callable[[Path], None], folder: Path) -> None:
    spoil(folder)
    source = open_source(folder)
    for _ in range(2):
        assert [f.index for f in source] == [0, 2, 3]
        assert source.skipped == {reason: 1}
    assert [f.index for f in source.iterate(2)] == [2, 3]
    assert not source.skipped
    told = source.describe()["skipped"]
    assert told == ({reason: 1} if reason.startswith("pose") or reason.endswith("missing") else {})


@pytest.mark.parametrize("reason", ["pose is not finite", "colour unreadable", "depth unreadable", "pose missing"])
def test_nothing_usable_says_why(reason: str, folder: Path) -> None:
    for n in range(4):
        for name in (f"color/{n:05d}.png", f"depth/{n:05d}.png", f"poses/{n:05d}.txt"):
            if reason.split(maxsplit=1)[0].replace("colour", "color") in name:
                if reason.endswith("missing"):
                    (folder / name).unlink()
                elif reason.endswith("finite"):
                    np.savetxt(folder / name, np.full((4, 4), np.nan))
                else:
                    (folder / name).write_bytes(b"?")
    fails(folder, f"none of its 4 frames can be used: {reason} (4)", "e.g. 00000")


def test_paths(tmp_path: Path) -> None:
    fails(tmp_path / "nothing", "no such file or folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    fails(empty, "an empty folder")
    (empty / "notes.txt").write_text("?")
    fails(empty, "not a recording; looked for", "rgb.txt and depth.txt", "results/ and traj.txt", "images")
    fails(empty / "notes.txt", "neither a video")
    for spec in ("rooms:x", "rooms:3:dirty"):
        fails(spec, "a room is rooms:SEED")
    fails("camera:first", "camera:0")
    (empty / "seq-01").mkdir()
    layouts.write_seven_scenes(empty / "seq-01", layouts.moments(1))
    fails(empty, "did you mean seq-01")
    with pytest.raises(InputError, match="stride over frames counts from 1"):
        open_source(empty / "seq-01", every=0)


@pytest.mark.parametrize(("part", "word"), [
    ("color", "not a recording"), ("depth", "without depth/; to use the images alone open"),
    ("poses", "without poses/"), ("intrinsics.txt", "without intrinsics.txt"),
])
def test_missing_parts(part: str, word: str, folder: Path) -> None:
    (folder / part).rename(folder / "elsewhere")
    fails(folder, word)


def test_no_frames_in_a_layout(tmp_path: Path) -> None:
    for name in ("color", "depth", "poses"):
        (tmp_path / name).mkdir()
    layouts.save_matrix(layouts.K, tmp_path / "intrinsics.txt")
    fails(tmp_path, "no frames in it")


@pytest.mark.parametrize(("file", "per_metre", "words"), [
    (1000.0, "1", ("read as metres", "millimetres")),
    (1.0, None, ("read as millimetres", "hold metres")),
    (1000.0, "20", ("1/20 m", "millimetres")),
    (5000.0, "100", ("centimetres", "1/5000 m")),
])
def test_unit_of_depth(file: float, per_metre: str | None, words: tuple[str, ...], folder: Path) -> None:
    for n, m in enumerate(layouts.moments()):
        layouts.save_image(layouts.units(m.depth, file), folder / "depth" / f"{n:05d}.png")
    if per_metre is not None:
        (folder / "depth_scale.txt").write_text(per_metre)
    fails(folder, "the median depth is", "depth_scale.txt", *words)
    (folder / "depth_scale.txt").write_text(str(file))
    assert len(list(open_source(folder))) == 4


def test_intrinsics(folder: Path) -> None:
    def K(text: str) -> None:
        (folder / "intrinsics.txt").write_text(text)

    K("525 525 319.5 239.5")
    fails(folder, "K seems to be for another size (about 639x479)", "32x24")
    K("30 30 4 3")
    fails(folder, "K seems to be for another size (about 8x6)")
    K("30 30 40 12")
    fails(folder, "principal point (40.0, 12.0)")
    K("-30 30 16 12")
    fails(folder, "positive focal lengths")
    K("nan 30 16 12")
    fails(folder, "positive focal lengths")
    for text in ("1 2 3", "a b c d", ""):
        K(text)
        with pytest.raises(InputError, match=r"intrinsics.txt: "):
            open_source(folder)
    K("30 30 9 11")  # off the middle along one axis: a crop, fine
    assert len(list(open_source(folder))) == 4


def test_depth_of_another_size(folder: Path) -> None:
    for n, m in enumerate(layouts.moments()):
        layouts.save_image(layouts.units(m.depth[::2, ::2], 1000), folder / "depth" / f"{n:05d}.png")
    frame = next(iter(open_source(folder)))
    assert frame.depth is not None and frame.camera is not None
    assert frame.rgb.shape == (12, 16, 3) and frame.depth.shape == (12, 16)
    np.testing.assert_allclose(frame.camera.K[0], [15.0, 0.0, (15.3 + 0.5) / 2 - 0.5])
    for n, m in enumerate(layouts.moments()):
        layouts.save_image(layouts.units(m.depth[::2], 1000), folder / "depth" / f"{n:05d}.png")
    fails(folder, "depth is 32x12, colour 32x24", "register depth to colour")
    layouts.save_matrix(layouts.K * [[1], [0.5], [1]], folder / "intrinsics_depth.txt")
    frame = next(iter(open_source(folder)))
    assert frame.rgb.shape == (12, 32, 3)
    (folder / "intrinsics_depth.txt").write_text("30 15.5 100 5.8")
    fails(folder, "depth intrinsics")


def test_the_odd_size_is_left_out_even_when_it_comes_first(tmp_path: Path) -> None:
    for n in range(6):
        size = (10, 14) if n == 0 else (24, 32)
        layouts.save_image(np.full((*size, 3), 9, np.uint8), tmp_path / f"IMG_{n:04d}.jpg")
    source = open_source(tmp_path)
    frames = list(source)
    assert [f.index for f in frames] == [1, 2, 3, 4, 5]
    assert source.skipped == {"colour is not 32x24": 1}
    assert all(f.depth is None and f.camera is None for f in frames)


def test_images_are_turned_upright_and_sorted_naturally(tmp_path: Path) -> None:
    pixels = np.zeros((24, 32, 3), np.uint8)
    pixels[:12, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown rotated by 90 degrees clockwise
    for n in (10, 9, 2):
        Image.fromarray(pixels).save(tmp_path / f"shot {n}.png", exif=exif)
    (tmp_path / "._shot 1.png").write_bytes(b"resource fork")
    source = open_source(tmp_path)
    frames = list(source)
    assert [(f.index, source.stem(f.index)) for f in frames] == [(2, "shot 2"), (9, "shot 9"), (10, "shot 10")]
    assert np.array_equal(frames[0].rgb.numpy(), np.rot90(pixels, -1))


def test_a_folder_of_depth_maps_is_no_image_folder(folder: Path) -> None:
    fails(folder / "depth", "colour unreadable (4)", "a depth map")


def test_numbers(tmp_path: Path) -> None:
    floats = np.array([[1.5, np.nan, np.inf, -2.0]], np.float32)
    assert metres(floats, None).tolist() == [[1.5, 0, 0, 0]]
    assert metres(np.array([[1500, 65535, 0]], np.uint16), 1000.0).tolist() == [[1.5, 0, 0]]
    assert metres(np.array([[-5, 1500]], np.int32), None).tolist() == [[0, 1.5]]
    for wrong in (np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.uint16), np.zeros((2, 2), bool)):
        with pytest.raises(ValueError, match="metric depth"):
            metres(wrong, None)
    path = tmp_path / "n.txt"
    for text in ("0", "-1", "nan", "1 2", "", "x"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"n.txt: "):
            scale_file(path)
    for matrix in (layouts.K, layouts.four_by_four(layouts.K)):
        np.savetxt(path, matrix)
        np.testing.assert_array_equal(intrinsics_file(path), layouts.K)


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_pickles_are_not_opened(folder: Path) -> None:
    (folder / "depth" / "00001.png").unlink()
    np.save(folder / "depth" / "00001.npy", np.array([[Trap(folder / "sprung")]], dtype=object), allow_pickle=True)
    source = open_source(folder)
    assert [f.index for f in source] == [0, 2, 3]
    assert source.skipped == {"depth unreadable": 1}
    assert not (folder / "sprung").exists()


def test_a_folder_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    fails(folder, "cannot be read", "Permission denied")
