"""Geometry made elsewhere (COLMAP, a SLAM system, an earlier run): depth maps and poses looked up by frame.

depth/NNNNN.png (16-bit, millimetres) or depth/NNNNN.npy (floats, metres), 0 = none; poses/NNNNN.txt, 4x4
camera-to-world, OpenCV axes; intrinsics.txt, 3x3, of the depth maps; optional confidence/NNNNN.png, 8-bit, 0 = do not
use. The unit may be any; then so is that of every threshold further down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float32, Float64, Shaped, UInt8
from torch import Tensor

from seg3r.errors import InputError
from seg3r.geometry import local_origin, pose_from, rounded_pose, world_rays
from seg3r.reading import read_npy, read_pixels, reading
from seg3r.types import Camera, Frame, View, check_camera

ASPECT_TOLERANCE = 0.01
MILLIMETRES = 1000.0


@dataclass
class SavedGeometry:
    """Frame -> View at the size of its depth map; the image is reduced to it where it is larger. A frame without a
    depth map or without a pose gives no view.

    Raises:
        InputError: no such folder, nothing in it; later: a file that is not what its name says, named.
    """

    folder: Path
    stem: Callable[[int], str] = "{:05d}".format
    """Frame index -> name of its files."""
    frames_without: int = field(default=0, init=False)
    """How many frames had no geometry so far."""
    origin: Float64[Tensor, "3"] = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64), init=False)
    """From where its views count: zero, unless the world of the poses lies far from its origin."""

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        for name in ("depth", "poses"):
            if not (self.folder / name).is_dir():
                raise InputError(f"{self.folder / name}: no such folder; saved geometry has depth/ and poses/")
            if next((self.folder / name).iterdir(), None) is None:
                raise InputError(f"{self.folder / name}: nothing here (expected files such as {self.stem(0)})")
        self._K = _matrix(self.folder / "intrinsics.txt", 3)
        # The first in order of names, whichever frame comes first: a resumed run counts from there too.
        first = _matrix(min((self.folder / "poses").iterdir()), 4)
        if bool(torch.isfinite(first).all()):
            self.origin = local_origin(first[:3, 3])

    def __call__(self, frame: Frame) -> tuple[View, ...]:
        """The frame's view, at once, or none."""
        stem = self.stem(frame.index)
        png, npy = (self.folder / "depth" / f"{stem}.{suffix}" for suffix in ("png", "npy"))
        pose = self.folder / "poses" / f"{stem}.txt"
        path = png if png.is_file() else npy
        if not path.is_file() or not pose.is_file():
            self.frames_without += 1
            return ()
        depth = _depth(path)
        size = (int(depth.shape[0]), int(depth.shape[1]))
        camera = Camera(self._K, _matrix(pose, 4), size)
        try:
            check_camera(camera)
        except InputError as error:
            raise InputError(f"{pose} (with {self.folder / 'intrinsics.txt'}): {error}") from error
        sure = self.folder / "confidence" / f"{stem}.png"
        confidence = (depth > 0).to(torch.float32)
        if sure.is_file():
            confidence = confidence * _confidence(sure, size)
        camera = replace(camera, T_world_cam=rounded_pose(pose_from(self.origin, camera.T_world_cam)))
        across, down, eye = world_rays(camera.K, camera.T_world_cam, size)
        points = depth[..., None] * (across + down[:, None]) + eye
        if not bool(torch.isfinite(points).all()):
            raise InputError(f"{path}: with {pose} its points lie nowhere; are both of one unit?")
        return (View(_resized(frame, size, path), camera, depth, points, confidence),)

    def finish(self) -> tuple[()]:
        """Owes nothing."""
        return ()

    def reset(self) -> None:
        """Remembers nothing but what was missing."""
        self.frames_without = 0


def _matrix(path: Path, side: int) -> Float64[Tensor, "_ _"]:
    with reading(path, f"a {side}x{side} matrix"):
        numbers = np.loadtxt(path, dtype=np.float64, ndmin=2)
    if numbers.shape != (side, side):
        shape = "x".join(str(n) for n in numbers.shape)
        raise InputError(f"{path}: a {shape} matrix where one of {side}x{side} is expected")
    return torch.from_numpy(numbers)


def _numbers(path: Path) -> Shaped[np.ndarray, "..."]:
    with reading(path, "numbers"):
        return read_npy(path) if path.suffix == ".npy" else read_pixels(path)


def _depth(path: Path) -> Float32[Tensor, "H W"]:
    """Metres, 0 = none."""
    numbers = _numbers(path)
    kinds = "f" if path.suffix == ".npy" else "ui"
    if numbers.ndim != 2 or 0 in numbers.shape or numbers.dtype.kind not in kinds or numbers.dtype.itemsize < 2:
        shape = "x".join(str(n) for n in numbers.shape)
        raise InputError(f"{path}: {numbers.dtype} {shape}; depth is a 16-bit PNG in millimetres or floats in an NPY")
    with np.errstate(over="ignore"):
        depth = numbers.astype(np.float32) / np.float32(1.0 if kinds == "f" else MILLIMETRES)
    depth[~np.isfinite(depth) | (depth < 0)] = 0
    return torch.from_numpy(depth)


def _confidence(path: Path, size: tuple[int, int]) -> Float32[Tensor, "H W"]:
    """In 0..1."""
    numbers = _numbers(path)
    if numbers.dtype != np.uint8 or numbers.shape != size:
        shape = "x".join(str(n) for n in numbers.shape)
        raise InputError(f"{path}: {numbers.dtype} {shape}; expected 8 bits and the depth map's {size[0]}x{size[1]}")
    return torch.from_numpy(numbers.astype(np.float32) / np.float32(255))


def _resized(frame: Frame, size: tuple[int, int], path: Path) -> Frame:
    """The frame at the size of its depth map; what was measured at another size is left out."""
    H, W = frame.rgb.shape[:2]
    if size == (H, W):
        return frame
    if abs(size[1] * H / (size[0] * W) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"{path}: the depth map is {size[1]}x{size[0]}, frame {frame.index} {W}x{H}: another aspect ratio; "
            "make the geometry from the same images"
        )
    rgb: UInt8[np.ndarray, "h w 3"] = cv2.resize(frame.rgb.numpy(), size[::-1], interpolation=cv2.INTER_AREA)
    return Frame(frame.index, frame.time_s, torch.from_numpy(rgb))
