"""Files to numbers. What cannot be read raises `UnusableError`: the frame is left out, the recording goes on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from seg3r.errors import InputError
from seg3r.reading import DAMAGED, one_line, read_npy, read_pixels, reading

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
DEPTH_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".npy"})
SATURATED = 65535
"""The largest 16-bit number is no measurement: 7-Scenes marks missing depth so, other sensors saturate there."""
NUMBERS_PER_METRE = 1000.0
"""Integer depth without a stated scale: millimetres."""
SCALES = (1e-3, 1e9)
"""Numbers per metre that can be meant: kilometres to nanometres."""
FURTHEST_M = 1e9
"""From the origin of the world: beyond lies no camera."""

_NOT_COLOUR = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


class UnusableError(Exception):
    """Why one frame is left out: `reason` to count by, `where` as an example."""

    def __init__(self, reason: str, where: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self.where = where


@contextmanager
def part_of_frame(what: str, where: str) -> Iterator[None]:
    """Like `reading`, of one frame: whatever a reader raises becomes an `UnusableError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except DAMAGED as error:
        raise UnusableError(f"{what} unreadable", f"{where} ({one_line(error)})") from error


def rgb_pixels(image: Image.Image, upright: bool = False) -> npt.NDArray[np.uint8]:
    """An opened image to [H W 3].

    Args:
        image: opened, not necessarily decoded yet.
        upright: turn it as its EXIF orientation says. Not for calibrated images: K is of the stored pixels.
    """
    if image.mode in _NOT_COLOUR:
        raise ValueError("one channel of more than 8 bits: a depth map, not a colour image")
    if upright:
        image = ImageOps.exif_transpose(image)
    return np.array(image.convert("RGB"))


def depth_numbers(path: Path) -> npt.NDArray[Any]:
    """The numbers of a depth file [H W], in the file's own unit."""
    return read_npy(path) if path.suffix.lower() == ".npy" else read_pixels(path)


def metres(numbers: npt.NDArray[Any], per_metre: float | None) -> npt.NDArray[np.float32]:
    """Depth in metres, 0 = missing, from the numbers of a file.

    Args:
        numbers: [H W], integers of at least 16 bits or floats.
        per_metre: how many make a metre; None: 1000 for integers, 1 for floats.
    """
    if numbers.ndim != 2 or numbers.dtype.kind not in "uif" or numbers.dtype.itemsize < 2:
        shape = "x".join(str(n) for n in numbers.shape)
        raise ValueError(f"{numbers.dtype} {shape}: metric depth has one channel of 16-bit integers or floats")
    scale = per_metre or (1.0 if numbers.dtype.kind == "f" else NUMBERS_PER_METRE)
    depth = numbers.astype(np.float32)
    if numbers.dtype.kind == "f":
        depth[~np.isfinite(depth)] = 0
    else:
        depth[numbers == SATURATED] = 0
    depth /= np.float32(scale)
    return np.maximum(depth, 0, out=depth)


def numbers_in(path: Path) -> npt.NDArray[np.float64]:
    """All numbers of a small text file, commas allowed, `#` starts a comment."""
    lines = (line.split("#")[0] for line in path.read_text(encoding="utf-8").splitlines())
    return np.array(" ".join(lines).replace(",", " ").split(), dtype=np.float64)


def pose_file(path: Path) -> npt.NDArray[np.float64]:
    """A 4x4 or 3x4 matrix in a text file."""
    return pose_matrix(numbers_in(path))


def pose_matrix(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """16 or 12 numbers, row by row, to a 4x4 matrix."""
    if numbers.size not in (12, 16):
        raise ValueError(f"{numbers.size} numbers where a pose has 16 (or 12)")
    return np.vstack((numbers.reshape(-1, 4)[:3], numbers[12:] if numbers.size == 16 else (0.0, 0.0, 0.0, 1.0)))


def matrix_file(path: Path) -> npt.NDArray[np.float64]:
    """A 4x4 or 3x4 matrix the whole recording hangs on: InputError where it cannot be read."""
    with reading(path, "a 4x4 matrix"):
        return pose_file(path)


def intrinsics_file(path: Path) -> npt.NDArray[np.float64]:
    """K [3 3] from a 3x3 or 4x4 matrix or from `fx fy cx cy`.

    Raises:
        InputError: not readable, or another count of numbers.
    """
    with reading(path, "intrinsics"):
        numbers = numbers_in(path)
    if numbers.size == 4:
        return pinhole(*(float(n) for n in numbers))
    if numbers.size in (9, 16):
        side = 3 if numbers.size == 9 else 4
        return numbers.reshape(side, side)[:3, :3].copy()
    raise InputError(f"{path}: {numbers.size} numbers; intrinsics are a 3x3 or 4x4 matrix or `fx fy cx cy`")


def scale_file(path: Path) -> float:
    """How many numbers of a depth file make a metre.

    Raises:
        InputError: anything but one positive number.
    """
    with reading(path, "a number"):
        numbers = numbers_in(path)
    if numbers.size != 1 or not SCALES[0] <= numbers[0] <= SCALES[1]:
        raise InputError(
            f"{path}: expected one number from {SCALES[0]:g} to {SCALES[1]:g}: how many units of the depth files make "
            "a metre"
        )
    return float(numbers[0])


def pinhole(fx: float, fy: float, cx: float, cy: float) -> npt.NDArray[np.float64]:
    """K [3 3]."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
