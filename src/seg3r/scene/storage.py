"""The parts of a map as named arrays and a JSON header, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seg3r.scene import io
from seg3r.scene.instances import Instances
from seg3r.scene.keyframes import Keyframes
from seg3r.scene.owners import Ownership
from seg3r.scene.points import PointGrid
from seg3r.text import clean_name

Arrays = dict[str, npt.NDArray[Any]]
POINT_COLUMNS = ("position", "color", "origin", "seen", "weight")


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
        **{f"point.{n}": points.table[n][: len(points)] for n in POINT_COLUMNS},
        "edge.instance": instance[order], "edge.point": point[order], "edge.hits": hits[order],
        "edge.views": views[order],
        **{f"instance.{n}": instances[n][alive] for n in instances.columns},
        "merged_into": np.array(
            [(i, instances.became(i)) for i in sorted(instances.merged_into)], np.int64
        ).reshape(-1, 2),
        "T_map_world": points.T_map_world,
    }
    header: dict[str, Any] = {"next_id": instances.next_id, "name_votes": instances.name_votes}
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
    points.load({n: arrays[f"point.{n}"] for n in POINT_COLUMNS})
    instances = Instances(arrays["instance.feature"].shape[1], arrays["instance.identity"].shape[1])
    instances.load({n: arrays[f"instance.{n}"] for n in instances.columns})
    instances.next_id = int(header["next_id"])
    instances.name_votes = {
        int(i): {name: vote for given, vote in votes.items() if (name := clean_name(given))}
        for i, votes in header["name_votes"].items()
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


def _merged_into(pairs: npt.NDArray[np.int64], instances: Instances) -> dict[int, int]:
    """Every id that ended in a merge -> where its way ends, so that following it always ends too."""
    merged = {int(other): int(into) for other, into in pairs}
    known, ended = range(instances.next_id), {*merged.values(), *instances["id"][: instances.rows].tolist()}
    if not all(i in known for i in (*merged, *merged.values())) or not ended.isdisjoint(merged):
        raise ValueError("merged_into holds an id that was never given, or one that did not end")
    return merged
