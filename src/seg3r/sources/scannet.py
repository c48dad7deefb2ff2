"""A ScanNet scene as exported by its SensReader: color/ depth/ pose/ by frame number and intrinsic/*.txt.

Depth in millimetres. Colour (1296x968) and depth (640x480) have intrinsics of their own; frames come on the depth's
grid. The extrinsics map each camera to the base frame that the poses place in the world; in the released scans both
are the identity ("color and depth are already aligned", ScanNet issue 92). Lost tracking is a pose of -inf.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seg3r.errors import InputError
from seg3r.sources.listed import Calibration, ListedRecording
from seg3r.sources.read import DEPTH_SUFFIXES, FURTHEST_M, IMAGE_SUFFIXES, intrinsics_file, matrix_file
from seg3r.sources.rgbd_folder import POSE_FOLDERS, first_folder
from seg3r.sources.shots import files, pair, pose_files, stated_scale


def _calibration_folder(root: Path) -> Path:
    return root / "intrinsic" if (root / "intrinsic").is_dir() else root


def recognise(root: Path) -> bool:
    """color/ and intrinsic/intrinsic_color.txt (or intrinsic_color.txt beside color/)."""
    return (root / "color").is_dir() and (_calibration_folder(root) / "intrinsic_color.txt").is_file()


def open_scannet(root: Path, every: int = 1) -> ListedRecording:
    """Raises InputError where depth/, pose/ or the depth's intrinsics are missing."""
    cameras, poses = _calibration_folder(root), first_folder(root, POSE_FOLDERS)
    if poses is None or not (root / "depth").is_dir() or not (cameras / "intrinsic_depth.txt").is_file():
        raise InputError(f"{root}: an exported ScanNet scene needs depth/, pose/ and {cameras}/intrinsic_depth.txt")
    E_color, E_depth = (
        matrix_file(path) if path.is_file() else np.eye(4)
        for path in (cameras / "extrinsic_color.txt", cameras / "extrinsic_depth.txt")
    )
    readers = {stem: partial(pose_of_color, read, E_color) for stem, read in pose_files(poses).items()}
    shots = pair(files(root / "color", IMAGE_SUFFIXES), files(root / "depth", DEPTH_SUFFIXES), readers)
    calibration = Calibration(
        intrinsics_file(cameras / "intrinsic_color.txt"), stated_scale(root, 1000.0),
        intrinsics_file(cameras / "intrinsic_depth.txt"), color_from_depth(E_color, E_depth, cameras),
    )
    return ListedRecording("ScanNet export", root, root, shots, calibration, every)


def color_from_depth(
    E_color: npt.NDArray[np.float64], E_depth: npt.NDArray[np.float64], where: Path
) -> npt.NDArray[np.float64] | None:
    """T_color_depth from the two extrinsics (camera to base), None where they are the same.

    Raises:
        InputError: an extrinsic that is no rigid motion.
    """
    for E in (E_color, E_depth):
        sound = bool(np.all(np.abs(E) < FURTHEST_M)) and np.allclose(E[3], (0, 0, 0, 1))
        if not sound or not np.allclose(E[:3, :3] @ E[:3, :3].T, np.eye(3), atol=1e-3):
            raise InputError(f"{where}: an extrinsic matrix is not a rigid motion; fix it or make it the identity")
    T = np.linalg.inv(E_color) @ E_depth
    return None if np.allclose(T, np.eye(4), atol=1e-6) else T


def pose_of_color(
    read: Callable[[], npt.NDArray[np.float64]], E_color: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """T_world_color from the pose of the base frame, which stays as it is (infinities included) where they agree."""
    pose = read()
    return pose if np.array_equal(E_color, np.eye(4)) else pose @ E_color
