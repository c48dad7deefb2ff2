"""SceneMap: the memory of the pipeline. See the package docstring for what it does not do."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float32, Int32, Int64, UInt8
from torch import Tensor

from seg3r.errors import InputError
from seg3r.kernels import grid as kernels
from seg3r.reading import reading
from seg3r.scene import io, storage
from seg3r.scene.check import check_saved
from seg3r.scene.instances import Instances
from seg3r.scene.keyframes import Keyframes
from seg3r.scene.owners import Ownership
from seg3r.scene.points import PointGrid, inverse
from seg3r.scene.sightings import better_sightings, cut_sighting
from seg3r.scene.storage import POINT_COLUMNS
from seg3r.scene.visible import Overlap, Visible, lattice_cells, segments_by_cell
from seg3r.types import Keyframe, Matches, Segments, Sighting, View

I32 = npt.NDArray[np.int32]


class SceneMap:
    """Points, instances, and how often each instance was seen to own each point.

    Incremental: `add` costs what the frame touches; memory follows the space seen. Coordinates in and out are world;
    inside, voxels are aligned to the first camera, so a rigid motion of the world moves the map, no more.
    """

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
        self._grid = PointGrid(voxel_m)
        self._owners = Ownership()
        self._instances = Instances(0, 0)
        self._keyframes = Keyframes()
        self._seen_last: tuple[View, int, Visible] | None = None

    # ---- what it holds -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of instances."""
        return len(self._instances)

    @property
    def points(self) -> Float32[Tensor, "n 3"]:
        """In world."""
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
    def T_world_map(self) -> npt.NDArray[np.float64]:
        """Where the voxel grid stands in the world: the pose of the first camera."""
        return inverse(self._grid.T_map_world)

    @property
    def next_id(self) -> int:
        """The id the next new instance gets."""
        return self._instances.next_id

    @property
    def name_votes(self) -> dict[int, dict[str, float]]:
        """Per instance: what its segments were called, with the scores summed."""
        return self._instances.name_votes

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

    def _edge_counts(self) -> tuple[I32, I32]:
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

    # ---- what changes it -----------------------------------------------------------------------------------------

    def add(self, view: View, segments: Segments, matches: Matches) -> Int64[Tensor, "m"]:
        """Take in one view: its points, and which of them its segments give to which instance (-1: a new one).

        Returns the instance id of every segment.
        """
        if len(matches) != len(segments):
            raise InputError(f"{len(matches)} matches for {len(segments)} segments of frame {segments.frame_index}")
        if self.frames == 0:
            self._grid.T_map_world = inverse(view.camera.T_world_cam.numpy())
        self._instances.rows_of(i for i in matches.instance_ids.tolist() if i >= 0)  # raise before any change
        self._widen(segments)
        known, visible = self._instances, self.visible(view)
        rows = np.array(
            [known.row(int(i)) if i >= 0 else known.new() for i in matches.instance_ids], np.int32
        )
        self._owners.reserve_rows(known.rows)

        segment_ids = segments.segment_ids.numpy()
        points = self._insert(view, segments)
        heads = self._grid.first_edge["edge"]
        self._owners.hit(points, rows[segment_ids], self.frames, heads)
        matched = np.zeros(known.rows, np.uint8)
        matched[rows] = 1
        in_view = self._owners.count_views(visible.points, matched, self.frames, heads)
        mostly_seen = 2 * in_view > self._owners.sizes(known.rows)
        known["missed"][: known.rows][mostly_seen & (matched == 0)] += 1

        starts = np.searchsorted(segment_ids, np.arange(len(rows) + 1))
        for s, row in enumerate(rows):
            own = slice(int(starts[s]), int(starts[s + 1]))
            known.observe(int(row), segments, s, segments.points[own].numpy())
            if starts[s] < starts[s + 1]:
                self._look(view, segments, s, own, int(row), int(in_view[row]))
        ids = known["id"][rows].astype(np.int64)
        self._keyframes.offer(view, segments, ids)
        self.frames += 1
        self.last_frame = segments.frame_index
        return torch.from_numpy(ids)

    def _widen(self, segments: Segments) -> None:
        """The width of descriptors is known when the first ones come."""
        if len(segments) == 0:
            return
        widths = tuple(0 if f is None else int(f.shape[1]) for f in (segments.features, segments.identity))
        if self._instances.widths == widths:
            return
        if self._instances.rows:
            raise InputError(
                f"frame {segments.frame_index}: descriptors of widths {widths} for a map of {self._instances.widths}; "
                "one map takes one embedder"
            )
        next_id = self._instances.next_id
        self._instances = Instances(*widths)
        self._instances.next_id = next_id

    def _insert(self, view: View, segments: Segments) -> I32:
        """Points of the segments, and all other confident ones on the same lattice: the room behind the things."""
        stride, eye = segments.stride, view.camera.T_world_cam[:3, 3].numpy()
        rows = self._grid.insert(
            segments.points.numpy(), segments.colors.numpy(), segments.pixels.numpy().astype(np.int32),
            segments.frame_index, self.frames, eye, self._reach,
        )
        cells, own = lattice_cells(segments, view.camera.size)
        covered = np.zeros(cells, np.uint8)
        covered[own] = 1
        rest_points, rest_colors = np.empty((cells, 3), np.float32), np.empty((cells, 3), np.uint8)
        rest_pixels = np.empty((cells, 2), np.int32)
        count = kernels.gather_rest(
            view.points.numpy(), view.frame.rgb.numpy(), view.confidence.numpy(), stride, covered, rest_points,
            rest_colors, rest_pixels,
        )
        self._grid.insert(
            rest_points[:count], rest_colors[:count], rest_pixels[:count], segments.frame_index, self.frames, eye,
            self._reach,
        )
        return rows

    def _look(self, view: View, segments: Segments, s: int, own: slice, row: int, in_view: int) -> None:
        """Keep the few best looks at an instance: most of it in view, and large (specification, 3.9)."""
        pixels, area = segments.pixels[own].numpy(), float(segments.areas[s])
        score = max(in_view, 1) * min(1.0, (area / 96**2) ** 0.5)
        instance_id = int(self._instances["id"][row])
        middle = segments.points[own].mean(0).to(torch.float64) - view.camera.T_world_cam[:3, 3]
        direction = torch.nn.functional.normalize(middle, dim=0).to(torch.float32)
        kept = self.sightings.get(instance_id, ())
        better = better_sightings(
            kept, score, direction,
            lambda: cut_sighting(view, pixels, segments.stride, score, int(area), direction),
        )
        if better is not kept:
            self.sightings[instance_id] = better

    def merge(self, into: int, other: int) -> None:
        """Instance `other` becomes part of instance `into`: counts add, means are weighted, its id ends."""
        if into == other:
            raise InputError(f"instance {into} cannot be merged with itself")
        self._owners.absorb(self._instances.row(into), self._instances.row(other), self._grid.first_edge["edge"])
        self._instances.merge(into, other)
        self._keyframes.rename(other, into)

    def drop(self, ids: Iterable[int]) -> None:
        """Forget these instances; their points stay in the map."""
        none = np.empty(0, np.int32)
        for instance_id in ids:
            self._owners.set_points(self._instances.row(instance_id), none, none, none, self._grid.first_edge["edge"])
            self._keyframes.rename(instance_id, -1)
            self._instances.free(instance_id)

    def keep_points(self, keep: Bool[Tensor, "n"]) -> None:
        """Forget all points but these; their rows are counted anew. Instances stay, be it without points."""
        kept, old = keep.numpy(), self._grid
        row, point, hits, views = self._owners.table()
        number = np.cumsum(kept, dtype=np.int32) - 1
        self._grid = PointGrid(self.voxel_m)
        self._grid.T_map_world = old.T_map_world
        self._grid.load({name: old.table[name][: len(old)][kept] for name in POINT_COLUMNS})
        self._owners = Ownership()
        self._owners.reserve_rows(self._instances.rows)
        left = kept[point]
        self._owners.load(
            row[left], number[point[left]], hits[left], views[left], self._grid.first_edge["edge"]
        )
        self._seen_last = None

    def set_points(
        self, instance_id: int, points: Int64[Tensor, "p"], hits: Int32[Tensor, "p"], views: Int32[Tensor, "p"]
    ) -> None:
        """Replace what an instance owns (points without repetition)."""
        row = self._instances.row(instance_id)
        own = points.numpy().astype(np.int32)
        self._owners.set_points(row, own, hits.numpy(), views.numpy(), self._grid.first_edge["edge"])
        world = self._grid.world_positions(own)
        self._instances["low"][row] = world.min(0) if len(world) else np.inf
        self._instances["high"][row] = world.max(0) if len(world) else -np.inf

    # ---- maps from maps ------------------------------------------------------------------------------------------

    def copy(self) -> SceneMap:
        """An independent map with the same content."""
        twin = copy.copy(self)
        twin._grid, twin._owners, twin._instances = self._grid.copy(), self._owners.copy(), self._instances.copy()
        twin._keyframes = self._keyframes.copy()
        twin._seen_last = None
        return twin

    def select(
        self, ids: Sequence[int] | None = None, box: Float32[Tensor, "6"] | None = None, frame: int | None = None
    ) -> SceneMap:
        """The part of the map that meets every condition given.

        Args:
            ids: only the points of these instances, and only these instances.
            box: only points inside (low corner, high corner) in world.
            frame: only what the keyframe of this index confirms.

        Raises:
            InputError: no such instance or keyframe.
        """
        keep = np.ones(len(self._grid), np.bool_)
        if ids is not None:
            keep[:] = False
            for i in ids:
                keep[self.points_of(int(i))[0].numpy()] = True
        if box is not None:
            world, corners = self._grid.world_positions(), box.numpy()
            keep &= ((world >= corners[:3]) & (world <= corners[3:])).all(1)
        if frame is not None:
            everything = torch.arange(len(self._grid))
            keep &= self.project(everything, self._keyframes.at(frame), self.visible_m).numpy() >= 0
        part = self.copy()
        part.keep_points(torch.from_numpy(keep))
        alive = [int(i) for i, size in zip(part.ids, part.sizes, strict=True) if size == 0]
        wanted = None if ids is None else {int(i) for i in ids}
        part.drop(sorted({*alive, *(int(i) for i in part.ids if wanted is not None and int(i) not in wanted)}))
        return part

    def union(self, other: SceneMap) -> tuple[SceneMap, dict[int, int]]:
        """Both maps in one, and the new id of each of `other`'s instances. They must share one frame of reference.

        Instances are kept apart: whether two are one thing is for a refiner to say. The voxel grid is this map's.
        """
        if self.voxel_m != other.voxel_m or self.widths != other.widths:
            raise InputError("maps of different voxel size or descriptors cannot be united")
        both = self.copy()
        theirs = other._grid.table
        rows = both._grid.insert(
            other._grid.world_positions(), other.colors.numpy(),
            np.ascontiguousarray(theirs["origin"][: len(other._grid), 1:]), -1, both.frames,
        )
        fresh = rows >= len(self._grid)
        both._grid.table["origin"][rows[fresh]] = theirs["origin"][: len(other._grid)][fresh]
        for name in ("seen", "weight"):
            counts = both._grid.table[name]
            counts[: len(self._grid)] = self._grid.table[name][: len(self._grid)]
            counts[len(self._grid) : len(both._grid)] = 0
            np.add.at(counts, rows, theirs[name][: len(other._grid)])
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
                row, places.astype(np.int32), hits[order][first], views[order][first], both._grid.first_edge["edge"]
            )
            if instance_id in other.name_votes:
                both.name_votes[new_id] = dict(other.name_votes[instance_id])
            both.sightings[new_id] = other.sightings.get(instance_id, ())
        both._keyframes.extend(other._keyframes, renamed)
        return both, renamed

    # ---- storage -------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything into one safetensors file (its header holds the JSON part): whole or not at all."""
        arrays, header = storage.pack(self._grid, self._owners, self._instances, self._keyframes)
        header |= {
            "voxel_m": self.voxel_m, "visible_m": self.visible_m, "frames": self.frames, "last_frame": self.last_frame,
        }
        io.write(path, arrays, header)

    @classmethod
    def load(cls, path: Path) -> SceneMap:
        """The map that `save` wrote.

        Raises:
            InputError: no such file, or not a map.
        """
        arrays, header = io.read(path)
        with reading(path, "a map", "write it again"):
            check_saved(arrays, header)
            scene = cls(float(header["voxel_m"]), float(header["visible_m"]))
            scene.frames, scene.last_frame = int(header["frames"]), int(header["last_frame"])
            scene._grid, scene._owners, scene._instances, scene._keyframes = storage.unpack(
                arrays, header, scene.voxel_m
            )
        return scene
