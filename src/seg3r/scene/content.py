"""The reading side of a map: points, instances, who owns what, and questions about them."""


from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64, UInt8
from torch import Tensor

from seg3r.errors import InputError
from seg3r.scene.instances import Instances
from seg3r.scene.keyframes import Keyframes
from seg3r.scene.names import instance_name
from seg3r.scene.nearest import best_owner, nearest_labels
from seg3r.scene.owners import Ownership
from seg3r.scene.points import PointGrid, inverse
from seg3r.scene.score import evidence_scores
from seg3r.scene.visible import Overlap, Visible, segments_by_cell
from seg3r.types import Keyframe, Segments, Sighting, View

RIM = 0.25
"""Voxels by which an owned point may be further than one that nobody owns, and still decides whose a place is."""


class MapContent:
    """What a map holds, and what it answers about that. `SceneMap` adds what changes it."""

    def __init__(self, voxel_m: float = 0.02, visible_m: float = 0.05) -> None:
        """Args:
            voxel_m: edge of a voxel; each holds at most one point.
            visible_m: a point is visible where the depth map lies within so much of it.
        """
        if not voxel_m > 0:
            raise InputError(f"voxel_m must be positive, got {voxel_m}")
        self.voxel_m = voxel_m
        self.visible_m = visible_m
        self._reach = int(visible_m / voxel_m)
        self.frames = 0
        """Views taken in."""
        self.last_frame = -1
        """Index of the last one."""
        self.revision = 0
        """Grows with every change: what was computed of an earlier one is stale."""
        self._grid = PointGrid(voxel_m)
        self._owners = Ownership()
        self._instances = Instances(0, 0)
        self._keyframes = Keyframes()
        self._seen_last: tuple[View, int, Visible] | None = None
        self._origin: Float64[Tensor, "3"] | None = None

    # ---- where it lies -------------------------------------------------------------------------------------------

    @property
    def origin(self) -> Float64[Tensor, "3"]:
        """Where the map's coordinates begin, in the world of the recording, metres: zero but for worlds far from their
        own origin, whose coordinates float32 cannot tell apart."""
        return torch.zeros(3, dtype=torch.float64) if self._origin is None else self._origin.clone()

    @origin.setter
    def origin(self, origin: Float64[Tensor, "3"]) -> None:
        """Raises InputError once the map holds something, or for one that is not finite."""
        if self.frames or self.point_count or not bool(torch.isfinite(origin).all()):
            raise InputError(f"origin {origin.tolist()}: set a finite one, before the first view")
        self._origin = origin.clone()

    @property
    def has_origin(self) -> bool:
        """Whether it was set."""
        return self._origin is not None

    @property
    def world_points(self) -> Float64[Tensor, "n 3"]:
        """In the world of the recording, in double precision; `points` counts from `origin`."""
        return self.points.to(torch.float64) + self.origin

    def from_origin(self, places: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
        """Places in the world of the recording -> as the map counts them."""
        return np.ascontiguousarray(places - self.origin.numpy(), np.float32)

    # ---- what it holds -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of instances."""
        return len(self._instances)

    @property
    def points(self) -> Float32[Tensor, "n 3"]:
        """In world, from `origin`."""
        return torch.from_numpy(self._grid.world_positions())

    @property
    def point_count(self) -> int:
        """Number of points."""
        return len(self._grid)

    @property
    def colors(self) -> UInt8[Tensor, "n 3"]:
        """Mean colour of all that fell in the voxel."""
        mean = self._grid.table["color"][: len(self._grid)]
        return torch.from_numpy(np.rint(mean).clip(0, 255).astype(np.uint8))

    @property
    def normals(self) -> Float32[Tensor, "n 3"] | None:
        """Unit vectors in world, zero where unknown; None for a map without them (only a cloud brings some)."""
        normals = self._grid.world_normals()
        return None if normals is None else torch.from_numpy(normals)

    @property
    def pixels(self) -> Int32[Tensor, "n 3"]:
        """(frame, row, column) that first saw each point."""
        return torch.from_numpy(self._grid.table["origin"][: len(self._grid)].copy())

    @property
    def seen(self) -> Int32[Tensor, "n"]:
        """Frames that put something into the point's voxel."""
        return torch.from_numpy(self._grid.table["seen"][: len(self._grid)].copy())

    @property
    def owners(self) -> Int64[Tensor, "e 2"]:
        """(position of the instance in `ids`, point) for every edge, sorted."""
        row, point, _, _ = self._owners.table()
        position = np.full(max(self._instances.rows, 1), -1, np.int64)
        position[self._instances.alive()] = np.arange(len(self))
        edges = np.stack((position[row], point.astype(np.int64)), axis=1)
        return torch.from_numpy(edges[np.lexsort((edges[:, 1], edges[:, 0]))])

    @property
    def hits(self) -> Int32[Tensor, "e"]:
        """Frames that said so, per edge of `owners`."""
        return torch.from_numpy(self._edge_counts()[0])

    @property
    def views(self) -> Int32[Tensor, "e"]:
        """Frames of the instance that saw the point, per edge of `owners`."""
        return torch.from_numpy(self._edge_counts()[1])

    @property
    def best_owners(self) -> Int64[Tensor, "n"]:
        """Position in `ids` of the instance that owns each point by the best hits / views, or -1: see `best_owner`."""
        owner, point = self.owners.numpy().T
        given = self._column("score").numpy()
        return torch.from_numpy(best_owner(owner, point, *self._edge_counts(), given, self.point_count))

    @property
    def ids(self) -> Int64[Tensor, "k"]:
        """Of the instances, ascending; never reused."""
        return torch.from_numpy(self._instances["id"][self._instances.alive()])

    @property
    def features(self) -> Float32[Tensor, "k d"]:
        """Mean descriptors, unit length."""
        return self._column("feature")

    @property
    def identity(self) -> Float32[Tensor, "k s"]:
        """The latest identity tokens, unit length."""
        return self._column("identity")

    @property
    def weights(self) -> Float32[Tensor, "k"]:
        """Evidence behind `features`: pixels times score, summed."""
        return self._column("weight")

    @property
    def observations(self) -> Int32[Tensor, "k"]:
        """Segments that were matched to each instance."""
        return self._column("observations")

    @property
    def missed(self) -> Int32[Tensor, "k"]:
        """Frames that saw most of the instance and matched nothing to it."""
        return self._column("missed")

    @property
    def mean_scores(self) -> Float32[Tensor, "k"]:
        """Mean score of the segments behind each instance."""
        return self._column("score_sum") / self._column("observations").clamp_min(1)

    @property
    def scores(self) -> Float32[Tensor, "k"]:
        """How far to trust each instance, in 0..1: the confidence it was given from outside (`set_instances`) or, where
        it has none, the evidence of the views (`evidence_scores`)."""
        given = self._instances["score"][self._instances.alive()]
        if bool(np.isfinite(given).all()):
            return torch.from_numpy(given)
        by_views = evidence_scores(
            self.owners.numpy()[:, 0], *self._edge_counts(), self.mean_scores.numpy(), self.observations.numpy()
        )
        return torch.from_numpy(np.where(np.isnan(given), by_views, given))

    @property
    def sizes(self) -> Int32[Tensor, "k"]:
        """Points of each instance."""
        return torch.from_numpy(self._owners.sizes(self._instances.rows)[self._instances.alive()].copy())

    @property
    def boxes(self) -> Float32[Tensor, "k 6"]:
        """Low and high corner in world of all that was added to each instance."""
        rows = self._instances.alive()
        return torch.from_numpy(np.concatenate((self._instances["low"][rows], self._instances["high"][rows]), axis=1))

    def became(self, instance_id: int) -> int:
        """The instance that this one was merged into, and that one into ...; itself if it was not. In a map
        loaded from a file without them (earlier versions wrote none) every id of before is itself."""
        return self._instances.became(instance_id)

    @property
    def keyframes(self) -> tuple[Keyframe, ...]:
        """The views kept: enough to ask what was visible and what was claimed, without the video."""
        return tuple(self._keyframes)

    @property
    def T_world_map(self) -> Float64[np.ndarray, "4 4"]:
        """Where the voxel grid stands in the world: the pose of the first camera."""
        return inverse(self._grid.T_map_world)

    @property
    def next_id(self) -> int:
        """The id the next new instance gets."""
        return self._instances.next_id

    @property
    def name_votes(self) -> dict[int, dict[str, float]]:
        """Per instance: what its segments were called, with the scores summed. Labels do not change them."""
        return self._instances.name_votes

    @property
    def name_labels(self) -> dict[int, tuple[str | None, float]]:
        """Per instance that a labeler named: the name (None: no word fits) and how sure it was. See `set_labels`."""
        return self._instances.name_labels

    @property
    def names(self) -> tuple[str | None, ...]:
        """What each instance is called, in the order of `ids`: its label if it has one, else what most of its segments
        were called, else None."""
        return tuple(
            instance_name(self.name_labels.get(i), self.name_votes.get(i, {})) for i in self.ids.tolist()
        )

    @property
    def sightings(self) -> dict[int, tuple[Sighting, ...]]:
        """Per instance: its few best looks, best first."""
        return self._instances.sightings

    @property
    def widths(self) -> tuple[int, int]:
        """Of descriptors and of identity tokens."""
        return self._instances.widths

    def _column(self, name: str) -> Tensor:
        return torch.from_numpy(self._instances[name][self._instances.alive()])

    def _edge_counts(self) -> tuple[Int32[np.ndarray, "edges"], Int32[np.ndarray, "edges"]]:
        row, point, hits, views = self._owners.table()
        ids = self._instances["id"][row]
        order = np.lexsort((point, ids))
        return hits[order], views[order]

    # ---- what it answers -----------------------------------------------------------------------------------------

    def visible(self, view: View) -> Visible:
        """The points that this view confirms."""
        if self._seen_last is not None and self._seen_last[0] is view and self._seen_last[1] == self.frames:
            return self._seen_last[2]
        points, pixels = self._grid.visible(
            view.depth.numpy(), view.camera.K.numpy(), view.camera.T_world_cam.numpy(), self.visible_m
        )
        answer = Visible(points, pixels)
        self._seen_last = (view, self.frames, answer)
        return answer

    def overlap(self, view: View, segments: Segments) -> Overlap:
        """How the segments of a view cover the points of the map that it sees. See `Overlap`."""
        seen = self.visible(view)
        rows = self._owners.owners_of(seen.points, self._instances.rows, self._grid.first_edge["edge"])
        rows = rows[np.argsort(self._instances["id"][rows], kind="stable")]
        column_of_row = np.full(max(self._instances.rows, 1), -1, np.int32)
        column_of_row[rows] = np.arange(len(rows), dtype=np.int32)
        cells, cell_start, cell_segments = segments_by_cell(seen.pixels, segments, view.camera.size)
        shared, segment_size, instance_size = self._owners.overlap(
            seen.points, cells, cell_start, cell_segments, len(segments), column_of_row, len(rows),
            self._grid.first_edge["edge"],
        )
        unmapped = self._grid.new_voxels(segments.points.numpy(), segments.segment_ids.numpy(), len(segments))
        return Overlap(
            torch.from_numpy(self._instances["id"][rows]), torch.from_numpy(shared),
            torch.from_numpy(segment_size + unmapped), torch.from_numpy(instance_size),
        )

    def gallery(self, ids: Int64[Tensor, "c"]) -> tuple[Float32[Tensor, "c 9 d"], Int32[Tensor, "c"]]:
        """Descriptors of these instances: the mean, then the kept ones; and how many are kept."""
        rows = self._instances.rows_of(ids.tolist())
        mean = self._instances["feature"][rows][:, None]
        both = np.concatenate((mean, self._instances["gallery"][rows]), axis=1)
        return torch.from_numpy(both), torch.from_numpy(self._instances["in_gallery"][rows])

    def pick(self, name: str, ids: Int64[Tensor, "c"]) -> Tensor:
        """One of `identity`, `boxes`, `feature`, `observations` ... for these instances only."""
        rows = self._instances.rows_of(ids.tolist())
        if name == "boxes":
            return torch.from_numpy(np.concatenate((self._instances["low"][rows], self._instances["high"][rows]), 1))
        return torch.from_numpy(self._instances[name][rows])

    def points_of(self, instance_id: int) -> tuple[Int64[Tensor, "p"], Int32[Tensor, "p"], Int32[Tensor, "p"]]:
        """Points of one instance, ascending, with their hits and views."""
        points, hits, views = self._owners.points_of(self._instances.row(instance_id))
        return torch.from_numpy(points.astype(np.int64)), torch.from_numpy(hits), torch.from_numpy(views)

    def places_of(self, instance_id: int) -> Float32[Tensor, "p 3"]:
        """Where the points of one instance are, in world."""
        points, _, _ = self._owners.points_of(self._instances.row(instance_id))
        return torch.from_numpy(self._grid.world_positions(points))

    def mask_of(self, ids: Iterable[int]) -> Bool[Tensor, "n"]:
        """The points that any of these instances owns.

        Raises:
            InputError: no such instance.
        """
        mask = torch.zeros(self.point_count, dtype=torch.bool)
        for i in ids:
            mask[self.points_of(int(i))[0]] = True
        return mask

    def labels(self, points: Float[Tensor, "q 3"], reach_m: float | None = None) -> Int64[Tensor, "q"]:
        """Instance id of each of any points (in the world of the recording), in their order; -1 = nobody's.

        A point belongs to what owns the nearest point of the map; of several owners to that with the best hits / views.
        An owned point decides although one that nobody owns is nearer by up to a quarter of a voxel: masks lose their
        rims to depth edges, so that unowned points crowd there.

        Args:
            reach_m: a point of the map further than this says nothing; None: two voxels.

        Raises:
            InputError: `points` are not finite, or `reach_m` is not positive.
        """
        ids = np.append(self.ids.numpy(), -1)[self.best_owners.numpy()]
        reach_m = 2 * self.voxel_m if reach_m is None else reach_m
        if not bool(torch.isfinite(points).all()):
            raise InputError("points= must be finite")
        local = self.from_origin(points.to(torch.float64).numpy())
        return torch.from_numpy(nearest_labels(local, self.points.numpy(), ids, reach_m, RIM * self.voxel_m))

    def some_places(
        self, ids: Int64[Tensor, "c"], most: int
    ) -> tuple[Float32[Tensor, "p 3"], Int64[Tensor, "p"]]:
        """About `most` points of each of these instances, in world, in no order; and whose each is (place in `ids`)."""
        points, owner = self._owners.some_of(self._instances.rows_of(ids.tolist()), most)
        return torch.from_numpy(self._grid.world_positions(points)), torch.from_numpy(owner)

    def shared_with(self, instance_id: int) -> tuple[Int64[Tensor, "c"], Int32[Tensor, "c"]]:
        """Other instances that own points of this one, ascending, and how many."""
        row = self._instances.row(instance_id)
        counts = self._owners.shared_with(row, self._instances.rows, self._grid.first_edge["edge"])
        counts[row] = 0
        rows = counts.nonzero()[0]
        rows = rows[np.argsort(self._instances["id"][rows], kind="stable")]
        return torch.from_numpy(self._instances["id"][rows]), torch.from_numpy(counts[rows])

    def project(self, points: Int64[Tensor, "p"], keyframe: Keyframe, tolerance: float) -> Int32[Tensor, "p"]:
        """Pixel (flat) of the keyframe that confirms each point within `tolerance` metres, or -1."""
        camera, depth = keyframe.camera, keyframe.depth.to(torch.float32)
        pixels = self._grid.project(
            points.numpy().astype(np.int32), depth.numpy(), camera.K.numpy(), camera.T_world_cam.numpy(), tolerance
        )
        return torch.from_numpy(pixels)

    def voxels_of(self, points: Int64[Tensor, "p"]) -> Int64[Tensor, "p 3"]:
        """Integer voxel coordinates of these points (in the map's own frame)."""
        positions = self._grid.table["position"][points.numpy()].astype(np.float64)
        return torch.from_numpy(np.floor(positions / self.voxel_m).astype(np.int64))
