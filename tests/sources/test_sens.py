"""ScanNet's stream: damaged, hostile, and with cameras that differ."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.sources import open_source

from . import layouts

H, W = layouts.SIZE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scene.sens"


def test_cut_short(path: Path) -> None:
    frames = layouts.moments(6)
    data = layouts.sens_header(6) + b"".join(layouts.sens_frame(m) for m in frames)
    for cut, left in ((len(data) - 1, 5), (len(data) - len(layouts.sens_frame(frames[-1])) - 50, 4)):
        path.write_bytes(data[:cut])
        source = open_source(path)
        assert [f.index for f in source] == list(range(left))
        assert source.skipped == {"truncated": 6 - left}


def test_lost_tracking_and_damaged_images(path: Path) -> None:
    a, b, c, d = layouts.moments()
    lost = layouts.Moment(b.rgb, b.depth, np.full((4, 4), -np.inf), b.time_s)
    path.write_bytes(
        layouts.sens_header(4) + layouts.sens_frame(a) + layouts.sens_frame(lost)
        + layouts.sens_frame(c, color=b"\xff\xd8 no jpeg") + layouts.sens_frame(d, depth=b"no zlib")
    )
    source = open_source(path)
    assert [f.index for f in source] == [0]
    assert source.skipped == {"pose is not finite": 1, "colour unreadable": 1, "depth unreadable": 1}


@pytest.mark.parametrize("inflated", [b"\0" * 50_000_000, b"\0" * (2 * H * W - 2)])
def test_depth_of_another_length_than_the_header_says(inflated: bytes, path: Path) -> None:
    a, b, *_ = layouts.moments()
    path.write_bytes(
        layouts.sens_header(2) + layouts.sens_frame(a) + layouts.sens_frame(b, depth=zlib.compress(inflated))
    )
    source = open_source(path)
    tracemalloc.start()
    try:
        assert [f.index for f in source] == [0]
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # not inflated past what the header says
    finally:
        tracemalloc.stop()
    assert source.skipped == {"depth unreadable": 1}


def test_a_jpeg_of_another_size_than_the_header_says(path: Path) -> None:
    a, b, *_ = layouts.moments()
    path.write_bytes(
        layouts.sens_header(2) + layouts.sens_frame(a)
        + layouts.sens_frame(b, color=layouts.jpeg(np.zeros((200, 300, 3), np.uint8)))
    )
    source = open_source(path)
    assert [f.index for f in source] == [0]
    assert source.skipped == {"colour unreadable": 1}


def test_raw_depth(path: Path) -> None:
    (a, *_) = layouts.moments()
    raw = layouts.units(a.depth, 1000).tobytes()
    path.write_bytes(layouts.sens_header(1, depth_kind=0) + layouts.sens_frame(a, depth=raw))
    frame = next(iter(open_source(path)))
    assert frame.depth is not None
    np.testing.assert_allclose(frame.depth.numpy(), a.depth, atol=6e-4)


@pytest.mark.parametrize(("data", "words"), [
    (b"", "0 bytes, too short"),
    (layouts.sens_header(1, version=3), "not a .sens file of version 4"),
    (struct.pack("<IQ", 4, 1 << 60), "not a .sens file"),
    (b"RIFF" + b"\x11" * 400, "not a .sens file"),
    (layouts.sens_header(1)[:200], "ends within its header"),
    (layouts.sens_header(1, size=(0, 32)), "damaged header"),
    (layouts.sens_header(1, size=(1 << 20, 32)), "damaged header"),
    (layouts.sens_header(1 << 62), "damaged header"),
    (layouts.sens_header(1, depth_kind=2), "depth compression 2"),
    (layouts.sens_header(0), "no frames in it"),
    (layouts.sens_header(3), r"none of its 3 frames can be used: truncated \(3\)"),
    (layouts.sens_header(1, E_depth=np.zeros((4, 4))), "not a rigid motion"),
])
def test_damaged_headers(data: bytes, words: str, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(InputError, match=words):
        open_source(path)


def test_frame_size_that_points_past_the_end(path: Path) -> None:
    a, b, *_ = layouts.moments()
    bad = bytearray(layouts.sens_frame(b))
    bad[64 + 16 : 64 + 24] = struct.pack("<Q", (1 << 64) - 1)
    path.write_bytes(layouts.sens_header(2) + layouts.sens_frame(a) + bytes(bad))
    source = open_source(path)
    assert [f.index for f in source] == [0]
    assert source.skipped == {"truncated": 1}


def test_times_are_the_streams_own(path: Path) -> None:
    frames = layouts.moments(3)
    path.write_bytes(layouts.sens_header(3) + b"".join(layouts.sens_frame(m) for m in frames))
    assert [f.time_s for f in open_source(path)] == pytest.approx([1.0, 1 + 1 / 30, 1 + 2 / 30], abs=1e-6)
    still = [layouts.Moment(m.rgb, m.depth, m.pose, 0.0) for m in frames]
    path.write_bytes(layouts.sens_header(3) + b"".join(layouts.sens_frame(m) for m in still))
    assert [f.time_s for f in open_source(path)] == pytest.approx([0.0, 1 / 30, 2 / 30])  # no times: 30 per second


def test_the_frame_is_the_depth_cameras(path: Path) -> None:
    """Twice the colour, and a depth camera 5 cm to the right: pose and colour are those seen from there."""
    (m, *_) = layouts.moments()
    flat = layouts.Moment(m.rgb, np.full(layouts.SIZE, 2.0), m.pose, 0.0)
    K_color = layouts.K * [[2], [2], [1]] + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    E_depth = np.eye(4)
    E_depth[0, 3] = 0.05
    large = np.kron(m.rgb, np.ones((2, 2, 1), np.uint8))
    path.write_bytes(
        layouts.sens_header(1, E_depth=E_depth, K_color=K_color, color_size=(2 * H, 2 * W))
        + layouts.sens_frame(flat, color=layouts.jpeg(large))
    )
    frame = next(iter(open_source(path)))
    assert frame.camera is not None and frame.depth is not None
    np.testing.assert_allclose(frame.camera.T_world_cam.numpy(), m.pose @ E_depth, atol=1e-6)
    np.testing.assert_allclose(frame.camera.K.numpy(), layouts.K, rtol=1e-6)
    # 30 * 0.05 / 2 = 0.75 px to the right, red grows by 5 per pixel.
    shift = frame.rgb[:, 4:-4, 0].double() - torch.from_numpy(m.rgb[:, 4:-4, 0].astype(np.float64))
    assert abs(float(shift.mean()) - 3.75) < 0.5
    assert (frame.depth[:, -1] == 0).all() and (frame.depth[:, :-1] > 0).all()


def test_every_without_reading_the_rest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a stride nor a late start decodes what it passes over."""
    frames = layouts.moments(30)
    path.write_bytes(layouts.sens_header(30) + b"".join(layouts.sens_frame(m) for m in frames))
    source = open_source(path, every=3)
    read: list[int] = []
    import seg3r.sources.sens as module

    original = module._bytes_at
    monkeypatch.setattr(module, "_bytes_at", lambda p, place: read.append(place[0]) or original(p, place))
    assert [f.index for f in source.iterate(7)] == [21, 24, 27]
    assert len(read) == 6


def test_extrinsics_that_leave_nothing_in_common(path: Path) -> None:
    E_depth = np.eye(4)
    E_depth[0, 3] = 50.0
    path.write_bytes(layouts.sens_header(1, E_depth=E_depth) + layouts.sens_frame(layouts.moments(1)[0]))
    with pytest.raises(InputError, match=r"colour and depth do not overlap \(1\)"):
        next(iter(open_source(path)))


@pytest.mark.parametrize("per_metre", [1e-38, 1e-6, -1.0, 0.0, float("nan"), float("inf"), 1e30])
def test_a_unit_of_depth_that_no_room_has(per_metre: float, tmp_path: Path) -> None:
    frames = layouts.moments(2)
    header = layouts.sens_header(2)
    header = header[:-12] + struct.pack("<f", per_metre) + header[-8:]
    path = tmp_path / "a.sens"
    path.write_bytes(header + b"".join(layouts.sens_frame(m) for m in frames))
    with pytest.raises(InputError, match="depth units per metre"):
        open_source(path)
