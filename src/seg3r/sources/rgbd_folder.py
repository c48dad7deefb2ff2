"""A plain RGB-D folder: what a phone app or a RealSense script writes, and the easiest layout to make by hand.

color/ (or rgb/, images/), depth/, poses/ (or pose/) with one file per frame and the same stem in each; intrinsics.txt
of the colour images (3x3, 4x4 or `fx fy cx cy`). Poses are camera-to-world, 4x4, metres, OpenCV axes. Depth: 16-bit
PNG or TIFF in millimetres, or floats (TIFF, NPY) in metres; depth_scale.txt states another unit. A depth camera with
the same pose but other intrinsics: intrinsics_depth.txt.
"""

from __future__ import annotations

from pathlib import Path

from seg3r.errors import InputError
from seg3r.sources.listed import Calibration, ListedRecording
from seg3r.sources.read import DEPTH_SUFFIXES, IMAGE_SUFFIXES, intrinsics_file
from seg3r.sources.shots import files, pair, pose_files, stated_scale

COLOR_FOLDERS = ("color", "rgb", "images")
POSE_FOLDERS = ("poses", "pose")


def first_folder(root: Path, names: tuple[str, ...]) -> Path | None:
    """The first of these folders that is there."""
    return next((root / name for name in names if (root / name).is_dir()), None)


def recognise(root: Path) -> bool:
    """color/ with depth/ or poses/ (what is missing is said on opening)."""
    others = (root / "depth").is_dir() or first_folder(root, POSE_FOLDERS) is not None
    return first_folder(root, COLOR_FOLDERS) is not None and others


def open_rgbd_folder(root: Path, every: int = 1) -> ListedRecording:
    """Raises InputError where a part is missing; see `ListedRecording` for the rest."""
    color, poses = first_folder(root, COLOR_FOLDERS), first_folder(root, POSE_FOLDERS)
    absent = [
        name for name, there in (
            ("color/", color is not None), ("depth/", (root / "depth").is_dir()), ("poses/", poses is not None),
            ("intrinsics.txt", (root / "intrinsics.txt").is_file()),
        ) if not there
    ]
    if color is None or poses is None or absent:
        images = f"; to use the images alone open {color}" if color else ""
        raise InputError(f"{root}: an RGB-D folder without {' and '.join(absent)}{images}")
    shots = pair(files(color, IMAGE_SUFFIXES), files(root / "depth", DEPTH_SUFFIXES), pose_files(poses))
    K_depth = root / "intrinsics_depth.txt"
    calibration = Calibration(
        intrinsics_file(root / "intrinsics.txt"), stated_scale(root, None),
        intrinsics_file(K_depth) if K_depth.is_file() else None,
    )
    return ListedRecording("RGB-D folder", root, root, shots, calibration, every)
