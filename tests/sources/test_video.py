"""Video files and live cameras."""

from __future__ import annotations

import struct
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from seg3r.errors import InputError
from seg3r.sources import open_source
from seg3r.sources.camera import LiveCamera, open_camera

H, W, FPS = 48, 64, 10


def picture(n: int) -> np.ndarray:
    """Brighter with every frame, a bright corner at the top left."""
    rgb = np.full((H, W, 3), 20 + 5 * n, np.uint8)
    rgb[:16, :16] = 250
    return rgb


def write(path: Path, frames: int = 20, options: dict[str, str] | None = None) -> Path:
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = W, H, "yuv420p", 4_000_000
        for n in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(n), format="rgb24")))
        container.mux(stream.encode())
    return path


def level(rgb: np.ndarray) -> float:
    return (float(rgb[20:, 20:].mean()) - 20) / 5


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_frames_in_order(suffix: str, tmp_path: Path) -> None:
    source = open_source(write(tmp_path / f"walk{suffix}"))
    for _ in range(2):
        frames = list(source)
        assert [f.index for f in frames] == list(range(20))
        assert all(f.rgb.shape == (H, W, 3) and f.depth is None and f.camera is None for f in frames)
        np.testing.assert_allclose([level(f.rgb.numpy()) for f in frames], range(20), atol=0.7)
        np.testing.assert_allclose([f.time_s for f in frames], np.arange(20) / FPS, atol=2e-3)
        assert not source.skipped
    assert len(source) == 20  # type: ignore[arg-type]
    assert source.describe()["color_size"] == (H, W)
    assert (source.name, source.root, source.stem(7)) == ("walk", None, "00007")


def test_stride_and_resume(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "walk.mp4"), every=6)
    frames = list(source)
    assert [f.index for f in frames] == [0, 6, 12, 18]
    assert len(source) == 4  # type: ignore[arg-type]
    late = list(source.iterate(source.position(6) + 1))
    assert [f.index for f in late] == [12, 18]
    assert np.array_equal(late[0].rgb, frames[2].rgb)


def test_truncated(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", 40, {"movflags": "faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    source = open_source(cut)
    frames = list(source)
    assert 5 < len(frames) < 38
    assert [f.index for f in frames] == list(range(len(frames)))
    assert source.skipped.total() == 40 - len(frames)
    assert source.skipped["truncated or damaged"] > 0
    cut.write_bytes(write(tmp_path / "late.mp4").read_bytes()[:-600])  # the index of an MP4 without faststart is last
    with pytest.raises(InputError, match=r"cut.mp4: .*; is the file complete"):
        open_source(cut)


def test_damage_in_the_middle_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "walk.avi", 30)
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][14]
        at, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[at + 8 : at + 8 + size] = bytes(size)
    path.write_bytes(bytes(data))
    source = open_source(path)
    frames = list(source)
    assert len(frames) + source.skipped.total() == 30
    assert len(frames) >= 25
    assert source.skipped


@pytest.mark.parametrize("data", [b"", b"not a video at all" * 40])
def test_not_a_video(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"clip.mp4: cannot be read as a video") as caught:
        open_source(path)
    assert "\n" not in str(caught.value)


def test_zero_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.avi", 0)
    with pytest.raises(InputError, match=r"empty.avi: "):
        open_source(path)


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="no video stream"):
        open_source(path)


def test_turned_as_the_file_says(tmp_path: Path) -> None:
    """A phone held upright writes the sensor's rows and a matrix: show it turned by 90 degrees clockwise."""
    path = write(tmp_path / "upright.mp4")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, H * one, 0, 1 << 30)
    path.write_bytes(bytes(data))
    frame = next(iter(open_source(path)))
    assert frame.rgb.shape == (W, H, 3)
    assert float(frame.rgb[:12, -12:].float().mean()) > 200  # the corner from the top left is now at the top right
    assert float(frame.rgb[:12, :12].float().mean()) < 60


def test_live_camera_counts_from_where_it_is_told() -> None:
    camera = LiveCamera("testsrc=size=64x48:rate=100", "lavfi", every=2)
    frames = list(islice(camera, 3))
    assert [f.index for f in frames] == [0, 2, 4]
    assert frames[0].rgb.shape == (48, 64, 3)
    assert [f.index for f in islice(camera.iterate(5), 2)] == [10, 12]
    assert camera.describe()["color_size"] == (48, 64)
    assert camera.position(10) == 5


def test_a_camera_that_ends() -> None:
    assert len(list(LiveCamera("testsrc=size=64x48:rate=10:duration=1", "lavfi"))) == 10


@pytest.mark.parametrize("spec", ["camera:99", "99"])
def test_no_such_camera(spec: str) -> None:
    with pytest.raises(InputError, match=r"camera .*99.*: cannot be opened") as caught:
        open_source(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_platforms_say_so_where_the_device_layer_is_absent(platform: str) -> None:
    if {"avfoundation", "dshow"} & av.formats_available:
        pytest.skip("this computer has that device layer")
    with pytest.raises(InputError, match="camera"):
        open_camera(0, platform=platform)
