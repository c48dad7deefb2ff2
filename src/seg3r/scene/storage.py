"""The parts of a map as named arrays and a JSON header, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from seg3r.scene import io
from seg3r.scene.instances import Instances
from seg3r.scene.keyframes import Keyframes
from seg3r.scene.owners import Ownership
from seg3r.scene.points import PointGrid
from seg3r.text import clean_name

Arrays = dict[str, npt.NDArray[Any]]
POINT_COLUMNS = ("position", "color", "origin", "seen", "weight")
OPTIONAL = ("point.normal", "instance.score")
"""Arrays without which a map is whole: normals come with clouds alone, and files of format 2 hold no scores."""


def pack(
    points: PointGrid, owners: Ownership, instances: Instances, keyframes: Keyframes
) -> tuple[Arrays, dict[str, Any]]:
    """Instances without the gaps that ended ones left; edges sorted by instance, then by point."""
    row, point, hits, views = owners.table()
    alive = instances.alive()
    compact = np.full(max(instances.rows, 1), -1, np.int32)
    compact[alive] = np.arange(len(alive), dtype=np.int32)
    instance = compact[row]
    order = np.lexsort((point, instance))
    arrays: Arrays = {
        **{f"point.{n}": values for n, values in points.columns().items()},
        "edge.instance": instance[order], "edge.point": point[order], "edge.hits": hits[order],
        "edge.views": views[order],
        **{f"instance.{n}": instances[n][alive] for n in instances.columns},
        "merged_into": np.array(
            [(i, instances.became(i)) for i in sorted(instances.merged_into)], np.int64
        ).reshape(-1, 2),
        "T_map_world": points.T_map_world,
    }
    header: dict[str, Any] = {
        "next_id": instances.next_id, "name_votes": instances.name_votes,
        "name_labels": {i: list(label) for i, label in instances.name_labels.items()},
    }
    io.write_sightings(instances.sightings, arrays, header)
    keyframes.write(arrays, header)
    return arrays, header


def unpack(
    arrays: Arrays, header: dict[str, Any], voxel_m: float
) -> tuple[PointGrid, Ownership, Instances, Keyframes]:
    """What `pack` took.

    Raises:
        KeyError, IndexError, ValueError: something is missing, or does not fit the rest.
    """
    for group in ("point.", "edge.", "instance."):
        if len({len(values) for name, values in arrays.items() if name.startswith(group)}) > 1:
            raise ValueError(f"{group}* of different lengths")
    points = PointGrid(voxel_m)
    points.T_map_world = arrays["T_map_world"]
    points.load(_group(arrays, "point.", POINT_COLUMNS))
    instances = Instances(arrays["instance.feature"].shape[1], arrays["instance.identity"].shape[1])
    instances.load(_group(arrays, "instance.", tuple(instances.columns)))
    instances.next_id = int(header["next_id"])
    instances.name_votes = {
        int(i): {name: vote for given, vote in votes.items() if (name := clean_name(given))}
        for i, votes in header["name_votes"].items()
    }
    instances.name_labels = {
        int(i): (None if name is None else clean_name(name), float(score))
        for i, (name, score) in header.get("name_labels", {}).items()
    }
    instances.sightings = io.read_sightings(arrays, header)
    if "merged_into" in arrays:  # files of earlier versions lack it
        instances.merged_into = _merged_into(arrays["merged_into"], instances)
    owners = Ownership()
    owners.reserve_rows(instances.rows)
    for name, bound in (("edge.instance", instances.rows), ("edge.point", len(points))):
        if len(arrays[name]) and not 0 <= arrays[name].min() <= arrays[name].max() < bound:
            raise ValueError(f"{name} out of range")
    owners.load(
        arrays["edge.instance"], arrays["edge.point"], arrays["edge.hits"], arrays["edge.views"],
        points.first_edge["edge"],
    )
    return points, owners, instances, Keyframes.read(arrays, header)


def _group(arrays: Arrays, prefix: str, names: tuple[str, ...]) -> Arrays:
    """The arrays of these names, and the optional ones that are there."""
    wanted = dict.fromkeys((*names, *(n.removeprefix(prefix) for n in OPTIONAL if n.startswith(prefix))))
    return {n: arrays[prefix + n] for n in wanted if prefix + n in arrays or prefix + n not in OPTIONAL}


def unpack_origin(header: dict[str, Any]) -> Float64[Tensor, "3"] | None:
    """Where a saved map counts from; None: never set (files of earlier versions lack it).

    Raises:
        ValueError: anything but three finite numbers.
    """
    given = header.get("origin")
    if given is None:
        return None
    sound = isinstance(given, list) and len(given) == 3 and all(isinstance(x, (int, float)) for x in given)
    if not sound or not np.isfinite(np.array(given, np.float64)).all():
        raise ValueError("origin is not three finite numbers")
    return torch.tensor(given, dtype=torch.float64)


def _merged_into(pairs: Int64[np.ndarray, "n 2"], instances: Instances) -> dict[int, int]:
    """Every id that ended in a merge -> where its way ends, so that following it always ends too."""
    merged = {int(other): int(into) for other, into in pairs}
    known, ended = range(instances.next_id), {*merged.values(), *instances["id"][: instances.rows].tolist()}
    if not all(i in known for i in (*merged, *merged.values())) or not ended.isdisjoint(merged):
        raise ValueError("merged_into holds an id that was never given, or one that did not end")
    return merged
