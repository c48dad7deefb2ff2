"""Recordings whose frames are listed before any is read: every layout but video and camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seg3r.errors import InputError
from seg3r.geometry import rounded_pose
from seg3r.sources import align
from seg3r.sources.check import JUMP_M, check_same_view, check_unit, checked_camera, strays
from seg3r.sources.read import UnusableError, metres, part_of_frame, pinhole, rgb_pixels
from seg3r.sources.recording import check_stride, mask_folders, reasons
from seg3r.sources.shots import Shot
from seg3r.types import Camera, Frame, check_camera

SAMPLES = 5
"""Frames looked at when a recording is opened: sizes, unit of the depth."""

_STRAY = f"pose more than {JUMP_M / 1000:g} km off"
_SOME_K = torch.from_numpy(pinhole(1.0, 1.0, 1.0, 1.0))
"""Sound, so that a camera made with it stands or falls with its pose."""


@dataclass(frozen=True)
class Calibration:
    """Of a recording with depth and poses."""

    K: npt.NDArray[np.float64]
    """[3 3], of the colour images as stored."""
    per_metre: float | None = None
    """Numbers of a depth file per metre; None: 1000 for integers, 1 for floats."""
    K_depth: npt.NDArray[np.float64] | None = None
    """[3 3], of the depth maps; None: depth is registered to colour, at its own resolution."""
    T_color_depth: npt.NDArray[np.float64] | None = None
    """[4 4], the depth camera in the colour camera's frame; None: one centre, the same axes."""


@dataclass(frozen=True)
class _Sample:
    """What a look at some frames told."""

    color_size: tuple[int, int]
    depth_size: tuple[int, int] | None
    median_depth_m: float | None
    missing_depth: float | None
    median_depth_raw: float | None
    """In the files' unit."""


@dataclass
class ListedRecording:
    """Shots -> Frames: reads, aligns colour to depth, checks, counts what it leaves out.

    With a calibration every frame has colour, depth and camera on the depth's grid (`align`); without one, colour only.

    Raises:
        InputError: no frames; none usable; intrinsics that do not fit the images; colour and depth of different
            aspect without intrinsics of depth; a median depth no room has (wrong unit).
    """

    kind: str
    root: Path | None
    origin: Path
    """What errors name."""
    shots: Sequence[Shot]
    calibration: Calibration | None = None
    every: int = 1
    upright: bool = False
    """Turn images as their EXIF orientation says."""
    name: str = field(default="", init=False)
    skipped: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self.name = self.origin.name if self.origin.is_dir() else self.origin.stem
        if not self.shots:
            raise InputError(f"{self.origin}: no frames in it")
        self._all = list(self.shots)
        self.shots = self._all[:: check_stride(self.every)]
        self._positions = {shot.index: n for n, shot in enumerate(self.shots)}
        self._stems = {shot.index: shot.stem for shot in self._all}
        self._sample = self._look()
        self._K = self._checked_intrinsics()
        if self._sample.median_depth_m is not None and self._sample.median_depth_raw is not None:
            check_unit(self._sample.median_depth_m, self._sample.median_depth_raw, self.origin)

    def __len__(self) -> int:
        """Frames listed; those that prove unusable come off."""
        return len(self.shots)

    def __iter__(self) -> Iterator[Frame]:
        return self.iterate()

    def iterate(self, start: int = 0) -> Iterator[Frame]:
        """From position `start`; no image before it is read. Raises InputError where no frame at all is usable."""
        self.skipped = Counter()
        example, found = "", False
        stray = self._strays
        for shot in self.shots[start:]:
            try:
                if shot.index in stray:
                    raise UnusableError(_STRAY, shot.stem)
                frame = self._frame(shot)
            except UnusableError as problem:
                self.skipped[problem.reason] += 1
                example = example or str(problem)
                continue
            found = True
            yield frame
        if not found and start == 0:
            raise self._nothing_usable(self.skipped, example)

    def position(self, frame_index: int) -> int:
        """Raises InputError for a frame that is not in the list (another stride, another recording)."""
        if frame_index not in self._positions:
            raise InputError(f"{self.origin}: no frame {frame_index} at stride {self.every}")
        return self._positions[frame_index]

    def stem(self, frame_index: int) -> str:
        return self._stems.get(frame_index, f"{frame_index:05d}")

    def describe(self) -> dict[str, object]:
        """Reads every pose but decodes only the frames looked at when opened."""
        stated: dict[str, object] = {
            "kind": self.kind, "name": self.name, "frames": len(self), "color_size": self._sample.color_size,
            "has_depth": self.calibration is not None, "has_pose": self.calibration is not None,
        }
        skipped: Counter[str] = Counter()
        positions = []
        for shot in self.shots:
            try:
                pose = self._pose(shot)
            except UnusableError as problem:
                skipped[problem.reason] += 1
                continue
            if shot.index in self._strays:
                skipped[_STRAY] += 1
            elif pose is not None:
                positions.append(pose[:3, 3])
        if self.calibration is not None:
            path = np.array(positions).reshape(-1, 3)
            stated |= {
                "depth_size": self._sample.depth_size, "K": None if self._K is None else self._K.tolist(),
                "path_m": float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum()),
                "extent_m": tuple(float(e) for e in np.ptp(path, axis=0)) if len(path) else (0.0, 0.0, 0.0),
                "median_depth_m": self._sample.median_depth_m, "missing_depth": self._sample.missing_depth,
            }
        return stated | {"masks": mask_folders(self.root), "skipped": dict(skipped)}

    @cached_property
    def _strays(self) -> frozenset[int]:
        """Index of each frame whose pose is sound, but nowhere near those before and after it. Reads every pose."""
        placed, positions = [], []
        for shot in self.shots:
            try:
                pose = self._pose(shot)
            except UnusableError:
                continue
            if pose is not None:
                placed.append(shot.index)
                positions.append(pose[:3, 3])
        astray = strays(np.array(positions, np.float64).reshape(-1, 3))
        return frozenset(np.array(placed, np.int64)[astray].tolist())

    def _frame(self, shot: Shot) -> Frame:
        pose = self._pose(shot)
        rgb = self._rgb(shot)
        if self.calibration is None or pose is None or self._K is None:
            return Frame(shot.index, shot.time_s, rgb)
        depth = self._depth(shot)
        size = (int(depth.shape[0]), int(depth.shape[1]))
        T_world_cam = torch.from_numpy(pose)
        if self.calibration.K_depth is None:
            if size != self._sample.color_size:
                rgb = align.resize_color(rgb, size)
        elif not self._same_camera():
            T_color_depth = self.calibration.T_color_depth
            T = None if T_color_depth is None else torch.from_numpy(T_color_depth)
            rgb, depth = align.color_at_depth(rgb, depth, torch.from_numpy(self.calibration.K), self._K, T)
            if not bool(depth.any()):
                raise UnusableError("colour and depth do not overlap", shot.stem)
            T_world_cam = T_world_cam if T is None else T_world_cam @ T
        K = self._K if shot.K is None else self._own_intrinsics(shot, shot.K, size)
        return Frame(shot.index, shot.time_s, rgb, depth, Camera(K, rounded_pose(T_world_cam), size))

    def _own_intrinsics(
        self, shot: Shot, read: Callable[[], npt.NDArray[np.float64]], size: tuple[int, int]
    ) -> torch.Tensor:
        """Of this frame alone."""
        with part_of_frame("intrinsics", shot.stem):
            K = read()
        try:
            color = checked_camera(K, self._sample.color_size, "intrinsics")
        except InputError as error:
            raise UnusableError("intrinsics do not fit the image", f"{shot.stem} ({error})") from error
        return color.scaled(size).K

    def _same_camera(self) -> bool:
        c = self.calibration
        return (
            c is not None and c.K_depth is not None and c.T_color_depth is None and np.array_equal(c.K, c.K_depth)
            and self._sample.color_size == self._sample.depth_size
        )

    def _pose(self, shot: Shot) -> npt.NDArray[np.float64] | None:
        if shot.problem is not None:
            raise UnusableError(shot.problem, shot.stem)
        if shot.pose is None:
            return None
        with part_of_frame("pose", shot.stem):
            pose = shot.pose()
        try:
            check_camera(Camera(_SOME_K, torch.from_numpy(pose), (2, 2)))
        except InputError as error:
            raise UnusableError(str(error).split(" (")[0], shot.stem) from error
        return pose

    def _rgb(self, shot: Shot) -> torch.Tensor:
        if shot.rgb is None:
            raise UnusableError("colour missing", shot.stem)
        with part_of_frame("colour", shot.stem), shot.rgb() as image:
            pixels = rgb_pixels(image, self.upright)
        H, W = self._sample.color_size
        if pixels.shape[:2] != (H, W):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise UnusableError(f"colour is not {W}x{H}", f"{shot.stem} ({size})")
        return torch.from_numpy(pixels)

    def _depth(self, shot: Shot) -> torch.Tensor:
        _, depth = self._measured(shot)
        if depth.shape != self._sample.depth_size and self._sample.depth_size is not None:
            H, W = self._sample.depth_size
            raise UnusableError(f"depth is not {W}x{H}", f"{shot.stem} ({depth.shape[1]}x{depth.shape[0]})")
        return torch.from_numpy(depth)

    def _measured(self, shot: Shot) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """The depth file's numbers, and metres."""
        if shot.depth is None:
            raise UnusableError("depth missing", shot.stem)
        with part_of_frame("depth", shot.stem):
            numbers = shot.depth()
            depth = metres(numbers, self.calibration.per_metre if self.calibration else None)
        if not depth.any():
            raise UnusableError("depth has no measurement", shot.stem)
        return numbers, depth

    def _look(self) -> _Sample:
        """At some frames spread over the recording: the commonest sizes, the depth. More only where some fail."""
        spread = [int(i) for i in np.linspace(0, len(self.shots) - 1, min(SAMPLES, len(self.shots)))]
        order = dict.fromkeys([*spread, *range(len(self.shots))])
        color_sizes: Counter[tuple[int, int]] = Counter()
        depth_sizes: Counter[tuple[int, int]] = Counter()
        medians, raw_medians, missing = [], [], []
        failed: Counter[str] = Counter()
        example = ""
        for n in order:
            shot = self.shots[n]
            try:
                self._pose(shot)
                size = self._opened_size(shot)
                if self.calibration is not None:
                    numbers, depth = self._measured(shot)
                    known = depth > 0
                    medians.append(float(np.median(depth[known])))
                    raw_medians.append(float(np.median(numbers[known])))
                    missing.append(1 - float(known.mean()))
                    depth_sizes[int(depth.shape[0]), int(depth.shape[1])] += 1
            except UnusableError as problem:
                failed[problem.reason] += 1
                example = example or str(problem)
                continue
            color_sizes[size] += 1
            if color_sizes.total() >= SAMPLES:
                break
        if not color_sizes:
            raise self._nothing_usable(failed, example)
        color_size = color_sizes.most_common(1)[0][0]
        if self.calibration is None:
            return _Sample(color_size, None, None, None, None)
        return _Sample(color_size, depth_sizes.most_common(1)[0][0], float(np.median(medians)),
                       float(np.mean(missing)), float(np.median(raw_medians)))

    def _opened_size(self, shot: Shot) -> tuple[int, int]:
        if shot.rgb is None:
            raise UnusableError("colour missing", shot.stem)
        with part_of_frame("colour", shot.stem), shot.rgb() as image:
            if self.upright:
                return rgb_pixels(image, upright=True).shape[:2]
            return (int(image.size[1]), int(image.size[0]))

    def _checked_intrinsics(self) -> torch.Tensor | None:
        """K of the frames as they will be handed out."""
        calibration, color_size, depth_size = self.calibration, self._sample.color_size, self._sample.depth_size
        if calibration is None or depth_size is None:
            return None
        color = checked_camera(calibration.K, color_size, f"{self.origin}: intrinsics")
        if calibration.K_depth is not None:
            return checked_camera(calibration.K_depth, depth_size, f"{self.origin}: depth intrinsics").K
        check_same_view(color_size, depth_size, self.origin)
        return color.K if color_size == depth_size else color.scaled(depth_size).K

    def _nothing_usable(self, skipped: Counter[str], example: str) -> InputError:
        return InputError(
            f"{self.origin}: none of its {len(self.shots)} frames can be used: {reasons(skipped)}; e.g. {example}"
        )
