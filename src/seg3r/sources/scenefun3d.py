"""A SceneFun3D video: hires_wide/, hires_depth/, hires_wide_intrinsics/ by time, and hires_poses.traj.

Files are named VIDEO_TIME. A line of the trajectory is `time rx ry rz tx ty tz`: angle-axis and translation that take
the frame of the laser scan to the camera's (OpenCV axes, metres). A .pincam file is `width height fx fy cx cy`. Depth
is rendered from the laser scan, in millimetres, registered to colour. Images are turned so that the sky is up, so that
a video may hold both portrait and landscape: frames of the rarer kind are left out and counted. The low-resolution
streams are not read: their poses are in ARKit's frame and less exact.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from seg3r.errors import InputError
from seg3r.reading import open_image, reading
from seg3r.sources.listed import Calibration, ListedRecording
from seg3r.sources.read import depth_numbers, numbers_in, pinhole
from seg3r.sources.shots import Shot, files, stated_scale

MAX_APART_S = 0.005
"""Between a frame's time and its pose's: frames come every 0.1 s, each with its own pose or none."""
SAMPLES = 25
"""Intrinsics looked at to tell which orientation is the commoner."""


def recognise(root: Path) -> bool:
    """hires_wide/ (what is missing beside it is said on opening)."""
    return (root / "hires_wide").is_dir()


def open_scenefun3d(root: Path, every: int = 1) -> ListedRecording:
    """Frames are numbered by their place in time; times are the recording's own.

    Raises:
        InputError: a part that is absent, or poses or intrinsics that cannot be read.
    """
    parts = ("hires_wide", "hires_depth", "hires_wide_intrinsics", "hires_poses.traj")
    if absent := [part for part in parts if not (root / part).exists()]:
        raise InputError(f"{root}: a SceneFun3D video without {' and '.join(absent)}; fetch these assets")
    colors, depths = files(root / "hires_wide", {".jpg", ".png"}), files(root / "hires_depth", {".png"})
    pincams = files(root / "hires_wide_intrinsics", {".pincam"})
    times, poses = read_trajectory(root / "hires_poses.traj")
    shots = []
    for index, (time_s, stem) in enumerate(sorted((_time_of(colors[stem]), stem) for stem in colors)):
        nearest = int(np.abs(times - time_s).argmin())
        found = abs(float(times[nearest]) - time_s) <= MAX_APART_S
        absent = [
            what for what, there in (("depth", stem in depths), ("intrinsics", stem in pincams), ("pose", found))
            if not there
        ]
        shots.append(
            Shot(
                index, stem, time_s, partial(open_image, colors[stem]),
                partial(depth_numbers, depths[stem]) if stem in depths else None,
                partial(_pose, poses[nearest]) if found else None,
                f"{absent[0]} missing" if absent else None,
                partial(_K, pincams[stem]) if stem in pincams else None,
            )
        )
    calibration = Calibration(_common_K(root, [pincams[s.stem] for s in shots if s.stem in pincams]),
                              stated_scale(root, 1000.0))
    return ListedRecording("SceneFun3D", root, root, shots, calibration, every)


def read_trajectory(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Times [n] and T_world_cam [n 4 4] of a .traj file.

    Raises:
        InputError: not readable, empty, or lines of another length than 7.
    """
    with reading(path, "a trajectory"):
        numbers = numbers_in(path)
    if not numbers.size or numbers.size % 7:
        raise InputError(f"{path}: {numbers.size} numbers; a trajectory has 7 in each line (time rx ry rz tx ty tz)")
    rows = numbers.reshape(-1, 7)
    rows = rows[np.isfinite(rows[:, 0])]
    if not len(rows):
        raise InputError(f"{path}: none of its times is a number; fetch it again")
    with reading(path, "a trajectory"):
        T_cam_world = np.tile(np.eye(4), (len(rows), 1, 1))
        T_cam_world[:, :3, :3] = Rotation.from_rotvec(rows[:, 1:4]).as_matrix()
        T_cam_world[:, :3, 3] = rows[:, 4:]
        return rows[:, 0], np.asarray(np.linalg.inv(T_cam_world), np.float64)


def _pose(T_world_cam: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return T_world_cam


def _time_of(path: Path) -> float:
    try:
        return float(path.stem.rpartition("_")[2])
    except ValueError as error:
        raise InputError(f"{path}: expected a name such as VIDEO_TIME.jpg") from error


def _K(path: Path) -> npt.NDArray[np.float64]:
    return _pincam(path)[1]


def _pincam(path: Path) -> tuple[tuple[int, int], npt.NDArray[np.float64]]:
    """(H, W) and K."""
    numbers = numbers_in(path)
    if numbers.size != 6:
        raise ValueError(f"{numbers.size} numbers where a .pincam file has 6")
    return (int(numbers[1]), int(numbers[0])), pinhole(*(float(n) for n in numbers[2:]))


def _common_K(root: Path, paths: list[Path]) -> npt.NDArray[np.float64]:
    """Of a frame with the commoner orientation."""
    if not paths:
        raise InputError(f"{root}: no image in hires_wide/ with a file of the same name in hires_wide_intrinsics/")
    spread = dict.fromkeys(int(i) for i in np.linspace(0, len(paths) - 1, min(SAMPLES, len(paths))))
    with reading(root / "hires_wide_intrinsics", "intrinsics"):
        looked_at = [_pincam(paths[i]) for i in spread]
    size = Counter(size for size, _ in looked_at).most_common(1)[0][0]
    return next(K for own, K in looked_at if own == size)
