"""What a saved map must hold before anything is made of it: a damaged file ends here, in a line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from seg3r.scene.instances import GALLERY

Arrays = dict[str, npt.NDArray[Any]]
WIDEST = 1 << 16
"""Of a descriptor: numbers."""
FURTHEST_REACH = 1000.0
"""`visible_m` in voxels."""
LARGEST = 1 << 31
"""Counts are kept in 32 bits."""
_UNBOUNDED = ("instance.low", "instance.high")
"""Infinite where an instance has no points. (A score is NaN where nobody gave one.)"""
_COUNTS = (
    "point.seen", "point.weight", "edge.hits", "edge.views", "instance.observations", "instance.missed",
    "instance.weight", "instance.score_sum",
)


def check_saved(arrays: Arrays, header: dict[str, Any]) -> None:
    """Raise ValueError (or what a missing or foreign part raises) unless the parts of a map can be used.

    That arrays are of the kind and the length that their columns have is seen when they are filled in.
    """
    for name, values in arrays.items():
        if values.dtype.kind != "f":
            wrong = np.zeros(0, np.bool_)
        elif name == "instance.score":
            wrong = np.isinf(values)
        else:
            wrong = np.isnan(values) if name in _UNBOUNDED else ~np.isfinite(values)
        if wrong.any():
            raise ValueError(f"{name} is not finite")
        if name in _COUNTS and values.size and values.min() < 0:
            raise ValueError(f"{name} is negative")
    voxel_m, visible_m = float(header["voxel_m"]), float(header["visible_m"])
    if not (0 < voxel_m < math.inf and 0 <= visible_m <= FURTHEST_REACH * voxel_m):
        raise ValueError(f"voxel_m {voxel_m}, visible_m {visible_m}")
    if not (0 <= int(header["frames"]) < LARGEST and -LARGEST < int(header["last_frame"]) < LARGEST):
        raise ValueError(f"{header['frames']} frames, the last {header['last_frame']}")
    _check_pose(arrays["T_map_world"], "T_map_world")
    _check_instances(arrays, int(header["next_id"]))
    _check_names(header["name_votes"])
    for name, score in header.get("name_labels", {}).values():
        if not ((name is None or isinstance(name, str)) and math.isfinite(float(score))):
            raise ValueError("name_labels: expected a name and how sure it is")
    _check_edges(arrays)
    for row, camera in zip(header["sightings"], arrays["sighting.cameras"], strict=True):
        _check_sighting(row, camera)
    _check_keyframes(arrays, header["keyframes"], int(header["next_id"]))


def _check_instances(arrays: Arrays, next_id: int) -> None:
    ids, gallery = arrays["instance.id"], arrays["instance.in_gallery"]
    if max(arrays[f"instance.{n}"].shape[1] for n in ("feature", "identity")) > WIDEST:
        raise ValueError(f"descriptors of more than {WIDEST} numbers")
    if len(set(ids.tolist())) != len(ids) or (len(ids) and not 0 <= ids.min() <= ids.max() < next_id):
        raise ValueError(f"instance.id: an id twice, or one that was never given (the next is {next_id})")
    if next_id < 0 or next_id >= 1 << 62 or (len(gallery) and not 0 <= gallery.min() <= gallery.max() <= GALLERY):
        raise ValueError("next_id or instance.in_gallery out of range")


def _check_names(votes: dict[str, dict[str, float]]) -> None:
    for each in votes.values():
        for name, vote in each.items():
            if not (isinstance(name, str) and isinstance(vote, (int, float)) and 0 <= vote < math.inf):
                raise ValueError("name_votes: expected names, each with the votes for it")


def _check_edges(arrays: Arrays) -> None:
    for name in ("edge.instance", "edge.point"):
        if arrays[name].dtype != np.int32 or arrays[name].ndim != 1:
            raise ValueError(f"{name}: {arrays[name].dtype} {list(arrays[name].shape)}")


def _check_pose(T: npt.NDArray[Any], name: str) -> None:
    """A rigid motion, as far as one can be made of it."""
    if T.dtype != np.float64 or T.shape != (4, 4) or not np.array_equal(T[3], (0, 0, 0, 1)):
        raise ValueError(f"{name}: no 4x4 matrix of a rigid motion")
    if np.abs(T[:3, :3] @ T[:3, :3].T - np.eye(3)).max() > 0.01:
        raise ValueError(f"{name}: no rotation in it")


def _check_camera(K: npt.NDArray[Any], T: npt.NDArray[Any], size: Any, name: str) -> None:
    _check_pose(T, name)
    h, w = (int(n) for n in size)
    if K.shape != (3, 3) or K[0, 0] <= 0 or K[1, 1] <= 0 or not (0 < h < LARGEST and 0 < w < LARGEST):
        raise ValueError(f"{name}: intrinsics or size of no camera")


def _check_sighting(row: dict[str, Any], camera: npt.NDArray[Any]) -> None:
    _check_camera(camera[:3, :3], camera[3:], row["image"], "a sighting")
    r0, c0, r1, c1 = (int(n) for n in row["box"])
    h, w = (int(n) for n in row["size"])
    direction = np.array(row["direction"], np.float64)
    counts = (int(row["frame"]), int(row["area"]))
    if not (0 <= r0 < r1 < LARGEST and 0 <= c0 < c1 < LARGEST and 0 < h < LARGEST and 0 < w < LARGEST):
        raise ValueError("a sighting with a box or a crop of no size")
    finite = math.isfinite(float(row["score"])) and bool(np.isfinite(direction).all())
    if direction.shape != (3,) or not finite or int(row["id"]) < 0 or max(abs(n) for n in counts) >= LARGEST:
        raise ValueError("a sighting with numbers that are none")


def _check_keyframes(arrays: Arrays, about: dict[str, Any], next_id: int) -> None:
    if not 0 < float(about["spacing"]) < math.inf:
        raise ValueError(f"keyframes {about['spacing']} apart")
    for names in about.get("names", ()):
        if names is not None and not (isinstance(names, list) and all(isinstance(n, str | None) for n in names)):
            raise ValueError("keyframes' names: expected lists of names")
    for i, (frame, size) in enumerate(zip(about["frames"], about["sizes"], strict=True)):
        K, T, depth, masks, ids = (arrays[f"keyframe.{i}.{n}"] for n in ("K", "T_world_cam", "depth", "masks", "ids"))
        _check_camera(K, T, size, f"keyframe {i}")
        h, w = depth.shape
        if [h, w] != [int(n) for n in size] or masks.shape != (len(ids), -(-h * w // 8)) or abs(int(frame)) >= LARGEST:
            raise ValueError(f"keyframe {i}: depth or masks of another size")
        if len(ids) and not -1 <= ids.min() <= ids.max() < next_id:
            raise ValueError(f"keyframe {i}: a mask of an instance that was never there")
