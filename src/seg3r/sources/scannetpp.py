"""A ScanNet++ iPhone recording after extraction by its toolkit: rgb/ and depth/ by frame name, pose_intrinsic_imu.json.

The JSON has for every frame of the video, under the name of its files, `aligned_pose` (camera-to-world in the frame of
the laser scan, OpenCV axes, metres), `intrinsic` (of the colour image; the phone focuses as it goes) and `timestamp`.
Depth is the phone's, 256x192 in millimetres, registered to colour. Only frames with a colour image are listed: the
video has 60 a second and few are usually extracted. Lens distortion is not undone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seg3r.errors import InputError
from seg3r.reading import reading
from seg3r.sources.listed import Calibration, ListedRecording
from seg3r.sources.read import IMAGE_SUFFIXES, pose_matrix
from seg3r.sources.shots import Shot, files, pair, stated_scale

POSES = "pose_intrinsic_imu.json"
LATEST_S = 1e12
"""Of a time stamp: 30,000 years. NaN and what is further off is no time."""


def recognise(root: Path) -> bool:
    """pose_intrinsic_imu.json (what is missing beside it is said on opening)."""
    return (root / POSES).is_file()


def open_scannetpp(root: Path, every: int = 1) -> ListedRecording:
    """Raises InputError where frames are not extracted, or for a JSON file that cannot be read."""
    for folder in ("rgb", "depth"):
        if not (root / folder).is_dir():
            raise InputError(f"{root}: no {folder}/; extract frames with its toolkit (iphone.prepare_iphone_data)")
    entries = _told(root / POSES)
    colors, depths = files(root / "rgb", IMAGE_SUFFIXES), files(root / "depth", {".png"})
    if not colors:
        raise InputError(f"{root / 'rgb'}: no images in it; extract frames with ScanNet++'s toolkit")
    poses = {stem: partial(_pose, entries[stem]) for stem in colors if _has(entries, stem, "aligned_pose")}
    known = [stem for stem in poses if _has(entries, stem, "intrinsic") and _is_3x3(entries[stem]["intrinsic"])]
    if not known:
        raise InputError(f"{root / POSES}: has aligned_pose and intrinsic for none of the images in {root / 'rgb'}")
    listed = pair(colors, {stem: path for stem, path in depths.items() if stem in colors}, poses)
    start = min(_time(entries, shot) for shot in listed)
    shots = [replace(shot, time_s=_time(entries, shot) - start, K=_own_K(entries, shot.stem)) for shot in listed]
    with reading(root / POSES, "intrinsics"):
        K = _K(entries[known[len(known) // 2]])
    calibration = Calibration(K, stated_scale(root, 1000.0))
    return ListedRecording("ScanNet++ iPhone", root, root, shots, calibration, every)


def _told(path: Path) -> dict[str, Any]:
    with reading(path, "JSON"):
        entries = json.loads(path.read_bytes())
    if not isinstance(entries, dict):
        raise InputError(f"{path}: expected one entry per frame name; fetch it again")
    return entries


def _has(entries: dict[str, Any], stem: str, key: str) -> bool:
    return isinstance(entries.get(stem), dict) and key in entries[stem]


def _time(entries: dict[str, Any], shot: Shot) -> float:
    """Seconds; recordings without timestamps keep the assumed rate."""
    stamp = entries[shot.stem].get("timestamp") if _has(entries, shot.stem, "timestamp") else None
    return float(stamp) if isinstance(stamp, (int, float)) and abs(stamp) < LATEST_S else shot.time_s


def _pose(entry: dict[str, Any]) -> npt.NDArray[np.float64]:
    return pose_matrix(np.asarray(entry["aligned_pose"], np.float64).reshape(-1))


def _own_K(entries: dict[str, Any], stem: str) -> Callable[[], npt.NDArray[np.float64]] | None:
    return partial(_K, entries[stem]) if _has(entries, stem, "intrinsic") else None


def _is_3x3(value: object) -> bool:
    return isinstance(value, list) and [len(row) if isinstance(row, list) else 0 for row in value] == [3, 3, 3]


def _K(entry: dict[str, Any]) -> npt.NDArray[np.float64]:
    return np.asarray(entry["intrinsic"], np.float64).reshape(3, 3)
