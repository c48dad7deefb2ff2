"""Replica in the layout of NICE-SLAM: results/{frameNNNNNN.jpg,depthNNNNNN.png}, traj.txt, ../cam_params.json.

traj.txt has one camera-to-world matrix per line (16 numbers, OpenCV axes) for frames 0, 1, ...; cam_params.json lies
beside the scene folders. Without it the renderer's published values hold (1200x680, f 600, c 599.5, 339.5, 6553.5
depth units per metre).
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seg3r.errors import InputError
from seg3r.reading import reading
from seg3r.sources.listed import Calibration, ListedRecording
from seg3r.sources.read import IMAGE_SUFFIXES, SCALES, pinhole, pose_matrix
from seg3r.sources.shots import files, pair, stated_scale

_DEFAULT = {"fx": 600.0, "fy": 600.0, "cx": 599.5, "cy": 339.5, "scale": 6553.5}


def recognise(root: Path) -> bool:
    """results/ and traj.txt."""
    return (root / "results").is_dir() and (root / "traj.txt").is_file()


def open_replica(root: Path, every: int = 1) -> ListedRecording:
    """Raises InputError for camera parameters or a trajectory that cannot be read."""
    results = root / "results"
    colors = {stem.removeprefix("frame"): path for stem, path in files(results, IMAGE_SUFFIXES, "frame").items()}
    depths = {stem.removeprefix("depth"): path for stem, path in files(results, {".png"}, "depth").items()}
    with reading(root / "traj.txt", "a trajectory"):
        lines = (root / "traj.txt").read_text(encoding="utf-8").splitlines()
    keys = {int(key): key for key in {*colors, *depths} if key.isdecimal()}
    poses = {keys[n]: partial(_pose, line) for n, line in enumerate(lines) if n in keys and line.strip()}
    stored = _camera_parameters(root)
    calibration = Calibration(
        pinhole(stored["fx"], stored["fy"], stored["cx"], stored["cy"]), stated_scale(root, stored["scale"])
    )
    return ListedRecording("Replica (NICE-SLAM)", root, root, pair(colors, depths, poses), calibration, every)


def _pose(line: str) -> npt.NDArray[np.float64]:
    return pose_matrix(np.array(line.split(), dtype=np.float64))


def _camera_parameters(root: Path) -> dict[str, float]:
    path = next((p for p in (root / "cam_params.json", root.parent / "cam_params.json") if p.is_file()), None)
    if path is None:
        return _DEFAULT
    with reading(path, "camera parameters", 'expected {"camera": {fx, fy, cx, cy, scale}}'):
        stored = json.loads(path.read_text(encoding="utf-8"))["camera"]
        values = {key: float(stored[key]) for key in _DEFAULT}
    if not np.isfinite(list(values.values())).all() or not SCALES[0] <= values["scale"] <= SCALES[1]:
        raise InputError(f"{path}: camera values must be finite and scale from {SCALES[0]:g} to {SCALES[1]:g}")
    return values
