"""TUM RGB-D (Sturm et al., IROS 2012): rgb.txt, depth.txt and groundtruth.txt list times; the nearest are paired.

`timestamp path` per line in the first two, `timestamp tx ty tz qx qy qz qw` (camera-to-world) in the third; lines
beginning with # are comments. Depth is registered to colour, 5000 units per metre. Intrinsics of the colour camera as
published with the data set for freiburg1, 2 and 3, by the folder's name; else the Kinect's nominal 525, 319.5, 239.5;
intrinsics.txt in the folder overrides. Lens distortion of freiburg1 and 2 is not undone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seg3r.errors import InputError
from seg3r.reading import open_image, quoted, reading
from seg3r.sources.listed import Calibration, ListedRecording
from seg3r.sources.read import depth_numbers, intrinsics_file, pinhole
from seg3r.sources.shots import Shot, stated_scale

MAX_APART_S = 0.02
"""Between a colour image and its depth or pose: the data set's own tool pairs within this."""

_PUBLISHED = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}
_NOMINAL = (525.0, 525.0, 319.5, 239.5)


def recognise(root: Path) -> bool:
    """rgb.txt and depth.txt."""
    return (root / "rgb.txt").is_file() and (root / "depth.txt").is_file()


def open_tum(root: Path, every: int = 1) -> ListedRecording:
    """Frames are numbered by their position in rgb.txt; times are the recording's own.

    Raises:
        InputError: no groundtruth.txt, or a list that cannot be read.
    """
    if not (root / "groundtruth.txt").is_file():
        raise InputError(f"{root}: no groundtruth.txt; to use the images alone open {root / 'rgb'}")
    rgb, depth = _file_list(root / "rgb.txt"), _file_list(root / "depth.txt")
    truth = [_row(fields, 8, root / "groundtruth.txt") for fields in _lines(root / "groundtruth.txt")]
    depth_times, pose_times = np.array([t for t, _ in depth]), np.array([row[0] for row in truth])
    shots = []
    for index, (time_s, name) in enumerate(rgb):
        d, p = _nearest(depth_times, time_s), _nearest(pose_times, time_s)
        absent = "depth" if d is None else "pose" if p is None else None
        shots.append(
            Shot(
                index, Path(name).stem, time_s, partial(open_image, root / name),
                None if d is None else partial(depth_numbers, root / depth[d][1]),
                None if p is None else partial(pose_from_quaternion, truth[p][1:]),
                None if absent is None else f"no {absent} within {MAX_APART_S} s",
            )
        )
    calibration = Calibration(_intrinsics(root), stated_scale(root, 5000.0))
    return ListedRecording("TUM RGB-D", root, root, shots, calibration, every)


def pose_from_quaternion(row: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """tx ty tz qx qy qz qw to a 4x4 matrix; the quaternion is made unit length first (files keep 4 digits)."""
    row = np.asarray(row, dtype=np.float64)
    length = float(np.linalg.norm(row[3:]))
    x, y, z, w = row[3:] / length if length > 0 else np.full(4, np.nan)
    pose = np.eye(4)
    pose[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    pose[:3, 3] = row[:3]
    return pose


def _lines(path: Path) -> list[list[str]]:
    with reading(path, "a list of times"):
        text = path.read_text(encoding="utf-8")
    return [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _row(fields: list[str], count: int, path: Path) -> npt.NDArray[np.float64]:
    try:
        row = np.array(fields, dtype=np.float64)
    except ValueError:
        row = np.zeros(0)
    if row.size != count:
        raise InputError(f"{path}: expected {count} numbers in each line, got {quoted(' '.join(fields))}")
    return row


def _file_list(path: Path) -> list[tuple[float, str]]:
    """Times, and names of files within the recording."""
    listed = [(float(_row(fields[:1], 1, path)[0]), " ".join(fields[1:])) for fields in _lines(path)]
    for _, name in listed:
        if not name or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise InputError(f"{path}: {quoted(name)} names no file in the recording; give a path inside it")
    return listed


def _nearest(times: npt.NDArray[np.float64], time_s: float) -> int | None:
    if not times.size:
        return None
    best = int(np.argmin(np.abs(times - time_s)))
    return best if abs(float(times[best]) - time_s) <= MAX_APART_S else None


def _intrinsics(root: Path) -> npt.NDArray[np.float64]:
    if (root / "intrinsics.txt").is_file():
        return intrinsics_file(root / "intrinsics.txt")
    match = re.search(r"(?:freiburg|fr)([123])", root.name)
    return pinhole(*(_PUBLISHED[match.group(1)] if match else _NOMINAL))
