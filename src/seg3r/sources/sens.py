"""ScanNet's sensor stream, one file per scan (.sens, version 4). Layout as published in ScanNet's SensReader.

Little endian. Header: u32 version, u64 length + name, four 4x4 f32 matrices (intrinsics and extrinsics of colour,
then of depth), i32 colour compression (0 raw, 1 png, 2 jpeg), i32 depth compression (0 raw u16, 1 zlib u16, 2 occi),
u32 colour width, height, depth width, height, f32 depth units per metre, u64 frames. Each frame: 4x4 f32
camera-to-world, u64 colour and depth time in microseconds, u64 sizes of colour and depth, then their bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from seg3r.errors import InputError
from seg3r.sources.listed import Calibration, ListedRecording
from seg3r.sources.read import SCALES
from seg3r.sources.recording import ASSUMED_FPS
from seg3r.sources.scannet import color_from_depth, pose_of_color
from seg3r.sources.shots import Shot

VERSION = 4
MAX_SIDE = 16384
"""Pixels: a header that claims larger images is damaged."""
MAX_FRAMES = 200_000
"""Nearly two hours at 30 per second: more is a damaged header."""
MAX_NAME = 4096

_HEADER = struct.Struct("<64f2i4IfQ")
_FRAME = struct.Struct("<16f4Q")
_RAW, _PNG, _JPEG = 0, 1, 2
_RAW_U16, _ZLIB_U16 = 0, 1


@dataclass(frozen=True)
class Header:
    """What holds for the whole stream. Sizes are (H, W)."""

    K_color: npt.NDArray[np.float64]
    E_color: npt.NDArray[np.float64]
    K_depth: npt.NDArray[np.float64]
    E_depth: npt.NDArray[np.float64]
    color_compression: int
    depth_compression: int
    color_size: tuple[int, int]
    depth_size: tuple[int, int]
    per_metre: float
    frames: int


@dataclass(frozen=True)
class _Entry:
    pose: npt.NDArray[np.float64]
    time_us: int
    color: tuple[int, int]
    """Offset and length in the file."""
    depth: tuple[int, int]


def open_sens(path: Path, every: int = 1) -> ListedRecording:
    """The index of frames is read once, images when asked for. A file cut short ends early, counted.

    Raises:
        InputError: not version 4, a damaged header, or a depth compression other than raw and zlib.
    """
    with path.open("rb") as file:
        header = read_header(file, path)
        entries = list(_entries(file, header.frames, path.stat().st_size))
    timed = len({e.time_us for e in entries}) == len(entries)
    shots = [
        Shot(
            n, str(n), e.time_us / 1e6 if timed else n / ASSUMED_FPS,
            partial(_color, path, e.color, header), partial(_depth, path, e.depth, header),
            partial(pose_of_color, partial(np.array, e.pose), header.E_color),
        )
        for n, e in enumerate(entries)
    ]
    shots += [Shot(n, str(n), n / ASSUMED_FPS, problem="truncated") for n in range(len(entries), header.frames)]
    calibration = Calibration(
        header.K_color, header.per_metre, header.K_depth, color_from_depth(header.E_color, header.E_depth, path)
    )
    return ListedRecording("ScanNet .sens", path.parent, path, shots, calibration, every)


def read_header(file: BinaryIO, path: Path) -> Header:
    """Raises InputError for anything a version 4 stream would not say."""
    start = file.read(12)
    if len(start) < 12:
        raise InputError(f"{path}: {len(start)} bytes, too short for a .sens file")
    version, name_length = struct.unpack("<IQ", start)
    if version != VERSION or name_length > MAX_NAME:
        raise InputError(f"{path}: not a .sens file of version {VERSION} (says version {version})")
    file.read(name_length)
    body = file.read(_HEADER.size)
    if len(body) < _HEADER.size:
        raise InputError(f"{path}: ends within its header; copy the file again")
    values = _HEADER.unpack(body)
    matrices = np.array(values[:64], dtype=np.float64).reshape(4, 4, 4)
    color_kind, depth_kind, cw, ch, dw, dh, per_metre, frames = values[64:]
    if not all(0 < side <= MAX_SIDE for side in (cw, ch, dw, dh)) or frames > MAX_FRAMES:
        raise InputError(f"{path}: damaged header (colour {cw}x{ch}, depth {dw}x{dh}, {frames} frames)")
    if not SCALES[0] <= per_metre <= SCALES[1]:
        raise InputError(f"{path}: damaged header ({per_metre} depth units per metre)")
    if color_kind not in (_RAW, _PNG, _JPEG) or depth_kind not in (_RAW_U16, _ZLIB_U16):
        raise InputError(
            f"{path}: colour compression {color_kind}, depth compression {depth_kind}; supported are "
            "raw, png, jpeg (0, 1, 2) and raw, zlib (0, 1): export the scan with ScanNet's own reader"
        )
    return Header(
        matrices[0, :3, :3], matrices[1], matrices[2, :3, :3], matrices[3], color_kind, depth_kind,
        (ch, cw), (dh, dw), per_metre, frames,
    )


def _entries(file: BinaryIO, frames: int, file_bytes: int) -> Iterator[_Entry]:
    """Walks from frame to frame without reading images; stops where the file does."""
    for _ in range(frames):
        head = file.read(_FRAME.size)
        if len(head) < _FRAME.size:
            return
        *pose, color_us, _, color_bytes, depth_bytes = _FRAME.unpack(head)
        at = file.tell()
        if at + color_bytes + depth_bytes > file_bytes:
            return
        matrix = np.array(pose, dtype=np.float64).reshape(4, 4)
        yield _Entry(matrix, color_us, (at, color_bytes), (at + color_bytes, depth_bytes))
        file.seek(at + color_bytes + depth_bytes)


def _bytes_at(path: Path, place: tuple[int, int]) -> bytes:
    with path.open("rb") as file:
        file.seek(place[0])
        return file.read(place[1])


def _color(path: Path, place: tuple[int, int], header: Header) -> Image.Image:
    data = _bytes_at(path, place)
    H, W = header.color_size
    if header.color_compression == _RAW:
        return Image.frombytes("RGB", (W, H), data)
    image = Image.open(io.BytesIO(data), formats=["PNG" if header.color_compression == _PNG else "JPEG"])
    if image.size != (W, H):
        raise ValueError(f"colour is {image.size[0]}x{image.size[1]}, the header says {W}x{H}")
    return image


def _depth(path: Path, place: tuple[int, int], header: Header) -> npt.NDArray[np.uint16]:
    """Never inflates past the size the header states: a damaged or hostile file cannot fill the memory."""
    data = _bytes_at(path, place)
    expected = header.depth_size[0] * header.depth_size[1] * 2
    if header.depth_compression == _ZLIB_U16:
        data = zlib.decompressobj().decompress(data, expected + 1)
    if len(data) != expected:
        raise ValueError(f"depth has {'more than ' * (len(data) > expected)}{min(len(data), expected)} bytes, "
                         f"the header says {expected}")
    return np.frombuffer(data, dtype="<u2").reshape(header.depth_size)
