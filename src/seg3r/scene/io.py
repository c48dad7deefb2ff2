"""A map on disk: one safetensors file whose header carries the JSON part, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open

from seg3r.errors import InputError
from seg3r.files import write_tensors
from seg3r.reading import quoted, reading
from seg3r.types import Camera, Sighting

FORMAT = "seg3r scene 3"
READ = (FORMAT, "seg3r scene 2")
"""Formats that are read; in 2 there were no scores of instances, no labels, and only bare masks in keyframes."""


def write(path: Path, arrays: dict[str, npt.NDArray[Any]], header: dict[str, Any]) -> None:
    """Whole or not at all.

    Raises:
        InputError: the disk said no.
    """
    write_tensors(path, arrays, {FORMAT: json.dumps(header, sort_keys=True)})


def read(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """What `write` wrote.

    Raises:
        InputError: no such file, damaged, or something else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such map; `seg3r run` writes one")
    with reading(path, "a map"), safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
        known = next((name for name in READ if name in metadata), None)
        if known is None:
            raise InputError(f"{path}: not a map of this version (its header says {quoted(', '.join(metadata))})")
        header = json.loads(metadata[known])
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        return {n: file.get_tensor(n) for n in file.keys()}, header  # noqa: SIM118


def write_sightings(
    sightings: dict[int, tuple[Sighting, ...]], arrays: dict[str, npt.NDArray[Any]], header: dict[str, Any]
) -> None:
    """Crops and masks go into flat arrays, the rest into the header."""
    rows, crops, masks, cameras = [], [np.empty(0, np.uint8)], [np.empty(0, np.uint8)], [np.empty((0, 7, 4))]
    for instance_id, looks in sorted(sightings.items()):
        for sighting in looks:
            rows.append({
                "id": instance_id, "frame": sighting.frame_index, "box": list(sighting.box), "score": sighting.score,
                "area": sighting.area, "size": list(sighting.mask.shape), "direction": sighting.direction.tolist(),
                "image": list(sighting.camera.size),
            })
            K = torch.nn.functional.pad(sighting.camera.K, (0, 1))
            cameras.append(torch.cat((K, sighting.camera.T_world_cam))[None].numpy())
            crops.append(sighting.crop.numpy().ravel())
            masks.append(np.packbits(sighting.mask.numpy()))
    header["sightings"] = rows
    arrays["sighting.crops"], arrays["sighting.masks"] = np.concatenate(crops), np.concatenate(masks)
    arrays["sighting.cameras"] = np.concatenate(cameras)


def read_sightings(arrays: dict[str, npt.NDArray[Any]], header: dict[str, Any]) -> dict[int, tuple[Sighting, ...]]:
    """What `write_sightings` wrote."""
    sightings: dict[int, tuple[Sighting, ...]] = {}
    at_crop = at_mask = 0
    for row, camera in zip(header["sightings"], arrays["sighting.cameras"], strict=True):
        h, w = (int(n) for n in row["size"])
        crop = arrays["sighting.crops"][at_crop : at_crop + h * w * 3].reshape(h, w, 3)
        bits = arrays["sighting.masks"][at_mask : at_mask + -(-h * w // 8)]
        mask = np.unpackbits(bits, count=h * w).reshape(h, w).astype(np.bool_)
        at_crop, at_mask = at_crop + h * w * 3, at_mask + -(-h * w // 8)
        r0, c0, r1, c1 = (int(n) for n in row["box"])
        sighting = Sighting(
            int(row["frame"]), (r0, c0, r1, c1), float(row["score"]), int(row["area"]),
            torch.from_numpy(crop.copy()), torch.from_numpy(mask), torch.tensor(row["direction"], dtype=torch.float32),
            Camera(
                torch.from_numpy(camera[:3, :3].copy()), torch.from_numpy(camera[3:].copy()),
                (int(row["image"][0]), int(row["image"][1])),
            ),
        )
        sightings[int(row["id"])] = (*sightings.get(int(row["id"]), ()), sighting)
    return sightings
