"""A map from what others made: a finished cloud, instances of a network that read it, crops from posed images.

A map that walks holds one point a voxel, the mean of what fell in. The points of a cloud stay as they are instead, in
their order and number (vertices of a scan are what its labels are counted on), so that a row of the cloud is a point of
the map: `SceneMap.best_owners` and `mask_of` speak of the cloud's own points, `SceneMap.labels` of any others. Voxels
then only help to find them. Measurements that are added later join or extend the cloud and do not move its points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64, UInt8
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from torch import Tensor

from seg3r.errors import InputError
from seg3r.geometry import local_origin
from seg3r.kernels.grid import SETTLED
from seg3r.scene.instances import Instances
from seg3r.scene.keyframes import moved, reduce_keyframe
from seg3r.scene.map import SceneMap
from seg3r.scene.owners import Ownership
from seg3r.scene.sightings import better_sightings, cut_sighting, look_score
from seg3r.types import Frame, Keyframe, check_camera

VOXEL_M = 0.02
SAME_IOU = 0.5
"""An instance set from outside keeps the id of one that stood if their points overlap by more."""
LEAST_SEEN = 20
"""Points of an instance that an image must show for a crop."""
GAP = 1.5
"""Pixels within so many spacings of a projected point count as the instance's."""


def map_from_cloud(
    points: Float[Tensor, "n 3"],
    colors: UInt8[Tensor, "n 3"],
    *,
    normals: Float[Tensor, "n 3"] | None = None,
    keyframes: Sequence[Keyframe] = (),
    voxel_m: float | None = None,
    visible_m: float = 0.05,
) -> SceneMap:
    """A map of these points, in their order, without instances; `set_instances` brings them.

    Args:
        points: in world, metres; kept in float32, counted from an origin of their own where the world's is far away
            (give them in float64 then).
        normals: of any length but zero; kept as unit vectors.
        keyframes: posed depth of any size, with masks or without; reduced as the map's own are, and whom their masks
            were matched to is forgotten. All are kept up to the cap of the map, then those go that add little.
        voxel_m: edge of a voxel; None: 2 cm, less where the cloud is denser than the grid can hold.
        visible_m: a point is visible where a depth map lies within so much of it.

    Raises:
        InputError: no finite numbers, numbers of points that differ, a cloud wider than the grid or too dense for
            `voxel_m`, or a keyframe with a camera that is none.
    """
    _check_cloud(points, colors, normals, keyframes)
    world = points.detach().cpu().to(torch.float64)
    count, origin = len(world), local_origin(world[0] if len(world) else torch.zeros(3, dtype=torch.float64))
    place: Float32[np.ndarray, "n 3"] = (world - origin).to(torch.float32).numpy()
    columns = {
        "position": place, "color": colors.cpu().numpy().astype(np.float32),
        "origin": np.full((count, 3), -1, np.int32), "seen": np.ones(count, np.int32),
        "weight": np.full(count, SETTLED, np.int32),
    }
    if normals is not None:
        columns["normal"] = torch.nn.functional.normalize(normals.detach().cpu().double(), dim=1).float().numpy()
    for edge_m in (VOXEL_M / 2**k for k in range(8)) if voxel_m is None else (voxel_m,):
        scene = SceneMap(edge_m, visible_m)
        scene.origin = origin
        if count and float(np.abs(place).max()) >= scene._grid.edge_m:
            raise InputError(f"points=: spread further than the {scene._grid.edge_m / 1000:.0f} km that a map reaches")
        try:
            scene._grid.load(columns)
            break
        except ValueError as error:
            crowded = error
    else:
        raise InputError(f"voxel_m={edge_m:g}: {crowded}; choose smaller voxels, or thin the cloud") from crowded
    for keyframe in keyframes:
        reduced = reduce_keyframe(keyframe.to("cpu"))
        scene._keyframes.append(replace(reduced, camera=moved(reduced.camera, -origin)))
    return scene


def set_instances(
    scene: SceneMap,
    points: Sequence[Int[Tensor, "_"]],
    scores: Float[Tensor, "k"],
    *,
    features: Float[Tensor, "k d"] | None = None,
    names: Sequence[str | None] | None = None,
) -> Int64[Tensor, "k"]:
    """Put these instances into a map in the place of all that stand; returns the id of each.

    One whose points overlap with those of an instance that stood by more than half (IoU, the best pairs first, one to
    one) keeps its id and with it what is known of that thing: sightings, observations, names and label unless `names`
    are given, descriptor unless `features` are. All others get new ids, which are never used again.

    Args:
        points: of each instance: rows of the map's points, none twice. Instances may share points; where only one may
            own them it is the one with the higher score.
        scores: confidence of each, in 0..1; stands as it is (`SceneMap.scores`).
        features: of each; kept at unit length, or all zero. Their width may differ from what the map held.
        names: of each, or None; they count as votes, as names of masks do.

    Raises:
        InputError: an index that is no point of the map, or comes twice; an instance without points; a score that is
            not in 0..1; numbers of instances that differ. The map is then as it was.
    """
    own = _checked_instances(scene, points, scores, features, names)
    stood, old = scene.ids.tolist(), scene._instances
    matched = _same_instances([scene.points_of(i)[0].numpy() for i in stood], own, scene.point_count)
    scene.drop([instance_id for place, instance_id in enumerate(stood) if place not in matched.values()])
    before = {i: (old.row(stood[place]), stood[place]) for i, place in matched.items()}

    width, identity = old.widths
    fresh = Instances(width if features is None else int(features.shape[1]), identity)
    fresh.next_id, fresh.merged_into = old.next_id, dict(old.merged_into)
    scene._instances, scene._owners, scene._seen_last = fresh, Ownership(), None
    scene._grid.first_edge["edge"][:] = -1
    given = None if features is None else torch.nn.functional.normalize(features.detach().cpu().double(), dim=1)
    ids = []
    for i, rows in enumerate(own):
        row, score = fresh.new(before[i][1] if i in before else None), float(scores[i])
        ids.append(instance_id := int(fresh["id"][row]))
        if i in before:
            replaced = ("id", "score", *(("feature", "gallery", "in_gallery", "weight") if given is not None else ()))
            for name in fresh.columns:
                if name not in replaced:
                    fresh[name][row] = old[name][before[i][0]]
            fresh.sightings[instance_id] = old.sightings.get(instance_id, ())
            if names is None:
                for theirs, ours in ((old.name_votes, fresh.name_votes), (old.name_labels, fresh.name_labels)):
                    if instance_id in theirs:
                        ours[instance_id] = theirs[instance_id]  # type: ignore[assignment]
        fresh["score"][row] = score
        if given is not None:
            fresh["feature"][row], fresh["weight"][row] = given[i].float().numpy(), len(rows)
        if names is not None and (called := names[i]) is not None:
            fresh.name_votes[instance_id] = {called: score}
        scene._owners.reserve_rows(fresh.rows)
        once = torch.ones(len(rows), dtype=torch.int32)
        scene.set_points(instance_id, torch.from_numpy(rows), once, once)
    return torch.tensor(ids, dtype=torch.int64)


def add_sightings(scene: SceneMap, frames: Iterable[Frame]) -> None:
    """Cut the best looks at each instance out of posed images with depth: what names a map that nobody walked.

    Args:
        frames: with depth and camera, one at a time: of each no more than crops stay.

    Raises:
        InputError: a frame without depth or camera.
    """
    scene.revision += 1
    spacing_m = _spacing(scene.points.numpy())
    positions, everything = scene.points.double(), torch.arange(scene.point_count)
    owned = [(i, scene.points_of(i)[0]) for i in scene.ids.tolist()]
    for frame in frames:
        if frame.depth is None or frame.camera is None:
            lacks = "depth" if frame.depth is None else "camera"
            raise InputError(f"frames=: frame {frame.index} has no {lacks}; crops are cut from posed images with depth")
        camera = moved(frame.camera, -scene.origin)
        h, w = camera.size
        nothing = torch.zeros(0, -(-h * w // 8), dtype=torch.uint8)
        bare = Keyframe(frame.index, camera, frame.depth, nothing, torch.zeros(0, dtype=torch.int64))
        seen = scene.project(everything, bare, scene.visible_m)
        eye = camera.T_world_cam[:3, 3]
        for instance_id, points in owned:
            shown = points[seen[points] >= 0]
            if len(shown) < LEAST_SEEN:
                continue
            middle = positions[shown].mean(0) - eye
            stride = max(1, round(GAP * spacing_m * float(camera.K[0, 0]) / max(float(middle.norm()), 1e-6)))
            cells = np.unique(np.stack(np.divmod(seen[shown].numpy(), w), 1) // stride, axis=0).astype(np.int64)
            area = len(cells) * stride**2
            score = look_score(len(shown), float(area))
            direction = torch.nn.functional.normalize(middle, dim=0).to(torch.float32)
            stored = scene.sightings.get(instance_id, ())
            scene.sightings[instance_id] = better_sightings(
                stored, score, direction,
                lambda f=frame, k=camera, c=cells, s=stride, v=score, a=area, d=direction: cut_sighting(  # type: ignore
                    f, k, c * s, s, v, a, d
                ),
            )


def _spacing(points: Float32[np.ndarray, "n 3"]) -> float:
    """Median distance of a point to its nearest neighbour, of some."""
    if len(points) < 2:
        return VOXEL_M
    some = points[:: max(1, len(points) // 2000)]
    distance, _ = cKDTree(points, balanced_tree=False).query(some, k=2)
    return float(np.median(np.asarray(distance)[:, 1]))


def _same_instances(
    stood: Sequence[Int64[np.ndarray, "_"]], given: Sequence[Int64[np.ndarray, "_"]], count: int
) -> dict[int, int]:
    """Given instance -> the one that stood and is the same, by their places in the lists."""
    if not stood or not given:
        return {}
    old, new = (_membership(each, count) for each in (stood, given))
    pairs = (new @ old.T).tocoo()
    sizes = [np.array([len(rows) for rows in each]) for each in (given, stood)]
    iou = pairs.data / (sizes[0][pairs.row] + sizes[1][pairs.col] - pairs.data)
    same: dict[int, int] = {}
    for at in np.lexsort((pairs.row, pairs.col, -iou)):
        i, place = int(pairs.row[at]), int(pairs.col[at])
        if iou[at] > SAME_IOU and i not in same and place not in same.values():
            same[i] = place
    return same


def _membership(lists: Sequence[Int64[np.ndarray, "_"]], count: int) -> csr_array:
    """Instances by points, 1 where a point belongs."""
    starts = np.cumsum([0, *(len(rows) for rows in lists)])
    columns = np.concatenate(lists)
    return csr_array((np.ones(len(columns), np.int64), columns, starts), shape=(len(lists), count))


def _check_cloud(
    points: Float[Tensor, "_ 3"], colors: UInt8[Tensor, "_ 3"], normals: Float[Tensor, "_ 3"] | None,
    keyframes: Sequence[Keyframe],
) -> None:
    for name, values in (("points", points), ("colors", colors), ("normals", normals)):
        if values is None:
            continue
        if values.ndim != 2 or values.shape[1] != 3 or len(values) != len(points):
            raise InputError(f"{name}=: expected [{len(points)}, 3], got {list(values.shape)}")
        if not bool(torch.isfinite(values).all()):
            raise InputError(f"{name}=: holds numbers that are not finite")
    for keyframe in keyframes:
        try:
            check_camera(keyframe.camera)
        except InputError as error:
            raise InputError(f"keyframes=: frame {keyframe.frame_index}: {error}") from error
    indices = [keyframe.frame_index for keyframe in keyframes]
    if len(set(indices)) < len(indices):
        raise InputError("keyframes=: a frame comes twice")


def _checked_instances(
    scene: SceneMap, points: Sequence[Int[Tensor, "_"]], scores: Float[Tensor, "_"],
    features: Float[Tensor, "_ _"] | None, names: Sequence[str | None] | None,
) -> list[Int64[np.ndarray, "_"]]:
    """Rows of the points of each instance, ascending."""
    k, n = len(points), scene.point_count
    for name, values in (("scores", scores), ("features", features), ("names", names)):
        if values is not None and len(values) != k:
            raise InputError(f"{name}=: {len(values)} for {k} instances; give one for each")
    if not all(0 <= score <= 1 for score in scores.tolist()):
        raise InputError("scores=: one is not in 0..1")
    if features is not None and (features.ndim != 2 or not bool(torch.isfinite(features).all())):
        raise InputError("features=: expected finite numbers, one row an instance")
    if names is not None and not all(name is None or isinstance(name, str) for name in names):
        raise InputError("names=: each is a text or None")
    own = []
    for i, each in enumerate(points):
        if each.ndim != 1 or each.dtype == torch.bool or each.is_floating_point():
            raise InputError(f"points=: instance {i}: expected row numbers; of a mask take nonzero().flatten()")
        rows = np.sort(each.detach().cpu().numpy().astype(np.int64))
        if not len(rows):
            raise InputError(f"points=: instance {i} has no points; leave it out")
        if rows[0] < 0 or rows[-1] >= n:
            wrong = rows[0] if rows[0] < 0 else rows[-1]
            raise InputError(f"points=: instance {i} names point {wrong} of a map with points 0..{n - 1}")
        if (rows[1:] == rows[:-1]).any():
            raise InputError(f"points=: instance {i} names a point twice")
        own.append(rows)
    return own
