"""A video file: colour only, every format PyAV's FFmpeg reads, turned upright as the file says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import torch

from seg3r.errors import InputError
from seg3r.reading import DAMAGED, one_line
from seg3r.sources.recording import ASSUMED_FPS, check_stride
from seg3r.types import Frame

SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".3gp", ".wmv", ".gif"})


@dataclass
class Video:
    """Frames numbered from 0 in the order shown. A damaged or cut file gives what can be decoded and counts the rest.

    (Where a decoder passes over damage without a word, the frames behind it are numbered too low by what it lost.)

    Raises:
        InputError: not a video, or no frame in it can be decoded.
    """

    path: Path
    every: int = 1
    kind: str = field(default="video", init=False)
    name: str = field(default="", init=False)
    skipped: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        check_stride(self.every)
        self.name = self.path.stem
        with _opened(self.path) as container:
            stream = container.streams.video[0]
            self._fps = float(stream.average_rate or ASSUMED_FPS)
            self._total = int(stream.frames) or sum(1 for packet in container.demux(stream) if packet.size)
        first = next(self._decoded(), None)
        if first is None:
            raise InputError(f"{self.path}: no frame of it can be decoded; is the file complete?")
        self._size = upright(first[1]).shape[:2]
        self.skipped = Counter()

    def __len__(self) -> int:
        """Frames the file claims, left by the stride."""
        return len(range(0, self._total, self.every))

    def __iter__(self) -> Iterator[Frame]:
        return self.iterate()

    def iterate(self, start: int = 0) -> Iterator[Frame]:
        """From position `start`; earlier frames are decoded (a video allows no other exact way) but not converted."""
        self.skipped = Counter()
        seen = -1
        for number, picture in self._decoded(start * self.every):
            seen = number
            if number < start * self.every or number % self.every:
                continue
            rgb = upright(picture)
            if rgb.shape[:2] != self._size:
                self.skipped[f"colour is not {self._size[1]}x{self._size[0]}"] += 1
                continue
            yield Frame(number, self._time_s(number, picture), torch.from_numpy(rgb))
        missing = len(range(0, self._total, self.every)) - len(range(0, seen + 1, self.every))
        if missing > 0 and self._total > start * self.every:
            self.skipped["truncated or damaged"] += missing

    @property
    def root(self) -> Path | None:
        """None: a video lies among others, so nothing beside it is taken to be its own."""
        return None

    def position(self, frame_index: int) -> int:
        return frame_index // self.every

    def stem(self, frame_index: int) -> str:
        return f"{frame_index:05d}"

    def describe(self) -> dict[str, object]:
        return {
            "kind": self.kind, "name": self.name, "frames": len(self), "color_size": self._size, "fps": self._fps,
            "duration_s": self._total / self._fps, "has_depth": False, "has_pose": False, "masks": {},
            "skipped": dict(self.skipped),
        }

    def _time_s(self, number: int, picture: Any) -> float:
        return number / self._fps if picture.time is None else float(picture.time)

    def _decoded(self, start: int = 0) -> Iterator[tuple[int, Any]]:
        """(number, picture). A packet that cannot be decoded uses up a number; counted from `start` on."""
        number = 0
        with _opened(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                    pictures = [] if packet is None else packet.decode()
                except av.error.InvalidDataError:
                    if number >= start and number % self.every == 0:
                        self.skipped["colour unreadable"] += 1
                    number += 1
                    continue
                except av.error.FFmpegError:
                    return
                if packet is None:
                    return
                for picture in pictures:
                    yield number, picture
                    number += 1


def upright(picture: Any) -> npt.NDArray[np.uint8]:
    """A decoded picture as [H W 3], turned by the quarter turns its display matrix asks for."""
    rgb = picture.to_ndarray(format="rgb24")
    turns = round(getattr(picture, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, turns))


def _opened(path: Path) -> Any:
    try:
        container = av.open(str(path))
    except DAMAGED + (av.error.FFmpegError,) as error:  # noqa: RUF005 (mypy reads no unpacked tuple)
        raise InputError(f"{path}: cannot be read as a video ({one_line(error)}); is the file complete?") from error
    if not container.streams.video:
        container.close()
        raise InputError(f"{path}: no video stream in it; is the file complete?")
    return container
