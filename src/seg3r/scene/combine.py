"""Maps from maps: a part of one, two in one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from seg3r.errors import InputError
from seg3r.scene.map import SceneMap


def select(
    scene: SceneMap,
    ids: Sequence[int] | None = None,
    box: Float32[Tensor, "6"] | None = None,
    frame: int | None = None,
) -> SceneMap:
    """The part of a map that meets every condition given.

    Args:
        ids: only the points of these instances, and only these instances.
        box: only points inside (low corner, high corner) in world.
        frame: only what the keyframe of this index confirms.

    Raises:
        InputError: no such instance or keyframe.
    """
    keep = np.ones(scene.point_count, np.bool_)
    if ids is not None:
        keep = scene.mask_of(ids).numpy()
    if box is not None:
        world, corners = scene.points.numpy(), box.numpy()
        keep &= ((world >= corners[:3]) & (world <= corners[3:])).all(1)
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
    """Both maps in one, and the new id of each of `other`'s instances. They must share one frame of reference.

    Instances are kept apart: whether two are one thing is for a refiner to say. The voxel grid is that of `one`: points
    of `other` that share a voxel, or fall into one where `one` has a point, become one point.

    Raises:
        InputError: other voxels or descriptors.
    """
    if one.voxel_m != other.voxel_m or one.widths != other.widths:
        raise InputError("maps of different voxel size or descriptors cannot be united")
    both = one.copy()
    grid, theirs, count = both._grid, other._grid.table, other.point_count
    rows = grid.insert(
        other._grid.world_positions(), other.colors.numpy(), np.ascontiguousarray(theirs["origin"][:count, 1:]), -1,
        both.frames,
    )
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
