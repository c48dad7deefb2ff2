"""A live camera through FFmpeg's capture devices: v4l2 (Linux), avfoundation (macOS), dshow (Windows)."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import torch

from seg3r.errors import InputError
from seg3r.reading import one_line
from seg3r.sources.recording import check_stride
from seg3r.sources.video import upright
from seg3r.types import Frame

_POLL_S = 0.005


@dataclass
class LiveCamera:
    """Colour frames as they come, until the device ends or the caller stops. Iterating starts from now.

    Raises:
        InputError: the device cannot be opened.
    """

    device: str
    """As FFmpeg names it."""
    format: str
    """FFmpeg's capture format."""
    options: Mapping[str, str] = field(default_factory=dict)
    every: int = 1
    kind: str = field(default="camera", init=False)
    name: str = field(default="camera", init=False)
    skipped: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        check_stride(self.every)
        self._open().close()

    def __iter__(self) -> Iterator[Frame]:
        return self.iterate()

    def iterate(self, start: int = 0) -> Iterator[Frame]:
        """From now on; numbers go on from position `start`."""
        self.skipped = Counter()
        began = time.monotonic()
        with self._open() as container:
            for number, picture in enumerate(self._pictures(container)):
                if number % self.every == 0:
                    rgb = torch.from_numpy(upright(picture))
                    yield Frame(start * self.every + number, time.monotonic() - began, rgb)

    @property
    def root(self) -> Path | None:
        return None

    def position(self, frame_index: int) -> int:
        return frame_index // self.every

    def stem(self, frame_index: int) -> str:
        return f"{frame_index:05d}"

    def describe(self) -> dict[str, object]:
        with self._open() as container:
            context = container.streams.video[0].codec_context
            size = (int(context.height), int(context.width))
        return {
            "kind": self.kind, "name": self.name, "device": self.device, "color_size": size, "has_depth": False,
            "has_pose": False, "masks": {}, "skipped": dict(self.skipped),
        }

    def _pictures(self, container: Any) -> Iterator[Any]:
        while True:
            try:
                yield from container.decode(video=0)
                return
            except av.error.BlockingIOError:
                time.sleep(_POLL_S)
            except av.error.InvalidDataError:
                self.skipped["colour unreadable"] += 1

    def _open(self) -> Any:
        try:
            return av.open(self.device, format=self.format, options=dict(self.options))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"camera {self.device} ({self.format}): cannot be opened ({one_line(error)}); "
                "is it plugged in, free, and are you allowed to use it?"
            ) from error


def open_camera(index: int, every: int = 1, platform: str = sys.platform) -> LiveCamera:
    """The index-th camera of this computer."""
    if platform == "darwin":
        return LiveCamera(f"{index}:none", "avfoundation", {"framerate": "30"}, every)
    if platform == "win32":
        return LiveCamera(f"video={_windows_name(index)}", "dshow", {}, every)
    return LiveCamera(f"/dev/video{index}", "v4l2", {}, every)


def _windows_name(index: int) -> str:
    """DirectShow opens cameras by name only."""
    try:
        devices = [d.description for d in av.enumerate_input_devices("dshow") if "video" in d.media_types]
    except (AttributeError, ValueError, OSError) as error:
        raise InputError(f"camera {index}: the cameras cannot be listed ({one_line(error)})") from error
    if index >= len(devices):
        raise InputError(f"camera {index}: there are {len(devices)}: {', '.join(devices) or 'none'}")
    return str(devices[index])
