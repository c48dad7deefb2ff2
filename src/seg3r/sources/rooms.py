"""The procedural world as a recording: rendered as it is asked for, nothing on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt16
from torch import Tensor

from seg3r.errors import InputError
from seg3r.rooms import Rendered, Room, build_room, camera_path, frame_noise, renderer_of
from seg3r.rooms.path import between, exposure_drift
from seg3r.sources.recording import check_stride
from seg3r.types import Camera, Frame

FPS = 10.0
SMEAR = 5
"""Further pictures that make one blurred."""


class RoomsSource:
    """A walk through the room of a seed.

    Args:
        seed: of the room and of the walk.
        frames: length of the walk, before the stride.
        size: (H, W).
        depth: "noisy" as a sensor measures it, or "clean".
        every: stride.
        shutter: share of the time to the next frame that the shutter is open: motion blur; 0 = none.
        exposure_stops: how far the exposure wanders, in factors of two to both sides.
        keep: remember every frame that was rendered, for who goes through the recording again and again.

    Raises:
        InputError: a stride, a depth, a shutter or a size that is none.
    """

    kind = "room"

    def __init__(
        self, seed: int, frames: int = 60, size: tuple[int, int] = (240, 320),
        depth: str = "noisy", every: int = 1, shutter: float = 0.0,
        exposure_stops: float = 0.0, keep: bool = False,
    ) -> None:
        if depth not in ("clean", "noisy"):
            raise InputError(f"rooms:{seed}: depth is clean or noisy, not {depth!r}")
        if not 0 <= shutter <= 1 or exposure_stops < 0:
            raise InputError(f"rooms:{seed}: shutter {shutter} or exposure_stops {exposure_stops} is out of range")
        self.seed = seed
        self.name = f"rooms:{seed}"
        self.depth = depth
        self.every = check_stride(every)
        self.size = size
        self.shutter = shutter
        self.exposure_stops = exposure_stops
        self.skipped: Counter[str] = Counter()
        self.room: Room = build_room(seed)
        self._walk = camera_path(self.room, frames, seed, size)
        self._keep = keep
        self._done: dict[int, Rendered] = {}

    @property
    def root(self) -> Path | None:
        """None: there is no folder."""
        return None

    @property
    def cameras(self) -> list[Camera]:
        """Of the frames that iterating gives."""
        return self._walk[:: self.every]

    def __len__(self) -> int:
        return len(self.cameras)

    def __iter__(self) -> Iterator[Frame]:
        return self.iterate()

    def iterate(self, start: int = 0) -> Iterator[Frame]:
        """From position `start`; nothing before it is rendered."""
        for index in range(start * self.every, len(self._walk), self.every):
            yield self.frame(index)

    def frame(self, index: int) -> Frame:
        """One frame of the walk. A frame does not depend on which were asked for before."""
        rendered = self._rendered(index)
        camera, depth = self._walk[index], rendered.depth
        if self.depth == "noisy":
            depth = frame_noise(depth, rendered.cosine, float(camera.K[0, 0]), self.seed, index)
        return Frame(index, index / FPS, rendered.rgb, depth, camera)

    def surface(self, frame_index: int) -> Float32[Tensor, "H W"]:
        """True depth of a frame, without the noise of a sensor."""
        return self._rendered(frame_index).depth

    def truth(self, frame_index: int) -> tuple[UInt16[Tensor, "H W"], dict[int, str]]:
        """Instance id of every pixel (0 = structure), and the class name of every id of the room."""
        return self._rendered(frame_index).instances, self.room.names

    def position(self, frame_index: int) -> int:
        """Raises InputError for a frame that is not in the walk at this stride."""
        if frame_index % self.every or not 0 <= frame_index < len(self._walk):
            raise InputError(f"{self.name}: no frame {frame_index} at stride {self.every}")
        return frame_index // self.every

    def stem(self, frame_index: int) -> str:
        return f"{frame_index:05d}"

    def describe(self) -> dict[str, object]:
        """Renders one frame, for its depth."""
        path = np.array([c.T_world_cam[:3, 3].numpy() for c in self.cameras])
        depth = self.frame(0).depth
        assert depth is not None
        known = depth > 0
        return {
            "kind": self.kind, "name": self.name, "frames": len(self), "color_size": self.size, "has_depth": True,
            "has_pose": True, "depth_size": self.size, "K": self.cameras[0].K.tolist(),
            "path_m": float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum()),
            "extent_m": tuple(float(e) for e in np.ptp(path, axis=0)),
            "median_depth_m": float(depth[known].median()), "missing_depth": 1 - float(known.float().mean()),
            "masks": {}, "skipped": {},
            "room": {"kind": self.room.kind, "size_m": self.room.size, "objects": len(self.room.objects)},
        }

    def _rendered(self, index: int) -> Rendered:
        if not 0 <= index < len(self._walk):
            raise InputError(f"{self.name}: no frame {index}, the walk has {len(self._walk)}")
        if index not in self._done:
            if not self._keep:
                self._done.clear()
            exposure = exposure_drift(self.seed, index, self.exposure_stops)
            self._done[index] = renderer_of(self.room).render(self._walk[index], exposure, self._smear(index))
        return self._done[index]

    def _smear(self, index: int) -> list[Camera]:
        """Where the camera goes while the shutter is open."""
        if self.shutter == 0 or index + 1 == len(self._walk):
            return []
        here, there = self._walk[index], self._walk[index + 1]
        return [between(here, there, self.shutter * k / SMEAR) for k in range(1, SMEAR + 1)]
