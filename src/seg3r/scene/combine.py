"""Maps from maps: a part of one, two in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from seg3r.errors import InputError
from seg3r.geometry import rigid
from seg3r.scene.keyframes import moved
from seg3r.scene.map import SceneMap
from seg3r.scene.points import inverse


def select(
    scene: SceneMap,
    ids: Sequence[int] | None = None,
    box: Float[Tensor, "6"] | None = None,
    frame: int | None = None,
) -> SceneMap:
    """The part of a map that meets every condition given.

    Args:
        ids: only the points of these instances, and only these instances.
        box: only points inside (low corner, high corner), in the world of the recording.
        frame: only what the keyframe of this index confirms.

    Raises:
        InputError: no such instance or keyframe.
    """
    keep = np.ones(scene.point_count, np.bool_)
    if ids is not None:
        keep = scene.mask_of(ids).numpy()
    if box is not None:
        places, corners = scene.points.numpy(), box.to(torch.float64).numpy().reshape(2, 3)
        low, high = corners - scene.origin.numpy()
        keep &= ((places >= low) & (places <= high)).all(1)
    if frame is not None:
        everything = torch.arange(scene.point_count)
        keep &= scene.project(everything, scene._keyframes.at(frame), scene.visible_m).numpy() >= 0
    part = scene.copy()
    part.keep_points(torch.from_numpy(keep))
    alive = [int(i) for i, size in zip(part.ids, part.sizes, strict=True) if size == 0]
    wanted = None if ids is None else {int(i) for i in ids}
    part.drop(sorted({*alive, *(int(i) for i in part.ids if wanted is not None and int(i) not in wanted)}))
    return part


def union(one: SceneMap, other: SceneMap) -> tuple[SceneMap, dict[int, int]]:
    """Both maps in one, and the new id of each of `other`'s instances. They must lie in one world, counted from
    whichever origin.

    Instances are kept apart: whether two are one thing is for a refiner to say. Voxel grid and origin are those of
    `one`, unless it is empty: points of `other` that share a voxel, or fall into one where `one` has a point, become
    one point.

    Raises:
        InputError: other voxels or descriptors, or further apart than a grid reaches.
    """
    if one.voxel_m != other.voxel_m or one.widths != other.widths:
        raise InputError("maps of different voxel size or descriptors cannot be united")
    both = one.copy()
    if one.frames == 0 and one.point_count == 0:
        both._origin = other._origin
    other = counted_from(other, both.origin)
    grid, theirs, count = both._grid, other._grid.table, other.point_count
    rows = grid.insert(
        other._grid.world_positions(), other.colors.numpy(), np.ascontiguousarray(theirs["origin"][:count, 1:]), -1,
        both.frames,
    )
    if (rows < 0).any():
        raise InputError(f"maps further apart than {grid.edge_m / 1000:.0f} km cannot be united")
    fresh = rows >= one.point_count
    grid.table["origin"][rows[fresh]] = theirs["origin"][:count][fresh]
    if both.normals is not None and other.normals is not None:
        grid.set_world_normals(rows[fresh], other.normals.numpy()[fresh])
    for name in ("seen", "weight"):
        counts = grid.table[name]
        counts[: one.point_count] = one._grid.table[name][: one.point_count]
        counts[one.point_count : len(grid)] = 0
        np.add.at(counts, rows, theirs[name][:count])
    both.frames += other.frames
    renamed: dict[int, int] = {}
    for source in other._instances.alive():
        instance_id, row = int(other._instances["id"][source]), both._instances.new()
        both._owners.reserve_rows(both._instances.rows)
        renamed[instance_id] = new_id = int(both._instances["id"][row])
        for name in both._instances.columns:
            if name != "id":
                both._instances[name][row] = other._instances[name][source]
        points, hits, views = other._owners.points_of(int(source))
        # Several voxels of theirs may fall into one of ours: keep the best supported.
        order = np.lexsort((-hits, rows[points]))
        places, first = np.unique(rows[points][order], return_index=True)
        both._owners.set_points(
            row, places.astype(np.int32), hits[order][first], views[order][first], grid.first_edge["edge"]
        )
        if instance_id in other.name_votes:
            both.name_votes[new_id] = dict(other.name_votes[instance_id])
        if instance_id in other.name_labels:
            both.name_labels[new_id] = other.name_labels[instance_id]
        both.sightings[new_id] = other.sightings.get(instance_id, ())
    both._keyframes.extend(other._keyframes, renamed)
    return both, renamed


def counted_from(scene: SceneMap, origin: Float64[Tensor, "3"]) -> SceneMap:
    """The same map in the same place of the world, its coordinates counted from another origin."""
    shift = scene.origin - origin
    if not bool(shift.any()):
        return scene
    copied = scene.copy()
    copied._origin = origin.clone()
    copied._grid.T_map_world = scene._grid.T_map_world @ inverse(rigid(torch.eye(3).double(), shift).numpy())
    for corner in ("low", "high"):
        copied._instances[corner][: scene._instances.rows] += shift.numpy().astype(np.float32)
    copied._keyframes.move(shift)
    for instance_id, looks in scene.sightings.items():
        copied.sightings[instance_id] = tuple(replace(look, camera=moved(look.camera, shift)) for look in looks)
    return copied
