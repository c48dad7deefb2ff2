"""SceneMap: the memory of the pipeline. See the package docstring for what it does not do."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int32, Int64
from torch import Tensor

from seg3r.errors import InputError
from seg3r.reading import reading
from seg3r.scene import io, storage
from seg3r.scene.check import check_saved
from seg3r.scene.content import MapContent
from seg3r.scene.instances import Instances
from seg3r.scene.owners import Ownership
from seg3r.scene.points import PointGrid, inverse
from seg3r.scene.sightings import look_again
from seg3r.types import Labels, Matches, Segments, View


class SceneMap(MapContent):
    """Points, instances, and how often each instance was seen to own each point.

    Incremental: `add` costs what the frame touches; memory follows the space seen. Coordinates in and out are world,
    counted from `origin`, as are the cameras of keyframes and sightings; inside, voxels are aligned to the first
    camera, so a rigid motion of the world moves the map, no more.
    """

    # ---- what changes it -----------------------------------------------------------------------------------------

    def add(self, view: View, segments: Segments, matches: Matches) -> Int64[Tensor, "m"]:
        """Take in one view: its points, and which of them its segments give to which instance (-1: a new one).

        Returns the instance id of every segment.

        Raises:
            InputError: matches of other segments, or a camera further off than the grid reaches.
        """
        if len(matches) != len(segments):
            raise InputError(f"{len(matches)} matches for {len(segments)} segments of frame {segments.frame_index}")
        if self.frames == 0 and self.point_count == 0:
            self._grid.T_map_world = inverse(view.camera.T_world_cam.numpy())
        if not self._grid.reaches(view.camera.T_world_cam[:3, 3].numpy()):
            raise InputError(
                f"frame {segments.frame_index}: its camera stands further from the first than the "
                f"{self._grid.edge_m / 1000:.0f} km that a map of {self.voxel_m} m voxels reaches; mend its pose or "
                "leave it out"
            )
        self._instances.rows_of(i for i in matches.instance_ids.tolist() if i >= 0)  # raise before any change
        self._widen(segments)
        known, visible = self._instances, self.visible(view)
        rows = np.array(
            [known.row(int(i)) if i >= 0 else known.new() for i in matches.instance_ids], np.int32
        )
        self._owners.reserve_rows(known.rows)

        segment_ids = segments.segment_ids.numpy()
        points, claimed = self._grid.take(view, segments, self.frames, self._reach), rows[segment_ids]
        if (points < 0).any():  # depth without end
            points, claimed = points[points >= 0], claimed[points >= 0]
        heads = self._grid.first_edge["edge"]
        self._owners.hit(points, claimed, self.frames, heads)
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
                instance_id = int(known["id"][row])
                kept = self.sightings.get(instance_id, ())
                if (better := look_again(kept, view, segments, s, own, int(in_view[row]))) is not kept:
                    self.sightings[instance_id] = better
        ids = known["id"][rows].astype(np.int64)
        self._keyframes.offer(view, segments, ids)
        self.frames += 1
        self.revision += 1
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

    def merge(self, into: int, other: int) -> None:
        """Instance `other` becomes part of instance `into`: counts add, means are weighted, its id ends."""
        if into == other:
            raise InputError(f"instance {into} cannot be merged with itself")
        self._owners.absorb(self._instances.row(into), self._instances.row(other), self._grid.first_edge["edge"])
        self._instances.merge(into, other)
        self._keyframes.rename(other, into)
        self.revision += 1

    def drop(self, ids: Iterable[int]) -> None:
        """Forget these instances; their points stay in the map."""
        none = np.empty(0, np.int32)
        for instance_id in ids:
            self._owners.set_points(self._instances.row(instance_id), none, none, none, self._grid.first_edge["edge"])
            self._keyframes.rename(instance_id, -1)
            self._instances.free(instance_id)
        self.revision += 1

    def keep_points(self, keep: Bool[Tensor, "n"]) -> None:
        """Forget all points but these; their rows are counted anew. Instances stay, be it without points."""
        kept, old = keep.numpy(), self._grid
        row, point, hits, views = self._owners.table()
        number = np.cumsum(kept, dtype=np.int32) - 1
        self._grid = PointGrid(self.voxel_m)
        self._grid.T_map_world = old.T_map_world
        self._grid.load({name: values[kept] for name, values in old.columns().items()})
        self._owners = Ownership()
        self._owners.reserve_rows(self._instances.rows)
        left = kept[point]
        self._owners.load(
            row[left], number[point[left]], hits[left], views[left], self._grid.first_edge["edge"]
        )
        self._seen_last = None
        self.revision += 1

    def set_labels(self, labels: Labels) -> None:
        """Name the instances, one label each in the order of `ids`. Earlier labels go; votes stay as they were.

        Raises:
            InputError: not one label an instance, or a score that is not in 0..1.
        """
        if len(labels.names) != len(self):
            raise InputError(f"labels=: {len(labels.names)} for a map of {len(self)} instances; give one for each")
        scores = labels.scores.tolist()
        if not all(0 <= score <= 1 for score in scores):
            raise InputError("labels=: a score is not in 0..1")
        self.revision += 1
        self._instances.name_labels = dict(zip(self.ids.tolist(), zip(labels.names, scores, strict=True), strict=True))

    def set_points(
        self, instance_id: int, points: Int64[Tensor, "p"], hits: Int32[Tensor, "p"], views: Int32[Tensor, "p"]
    ) -> None:
        """Replace what an instance owns (points without repetition)."""
        row = self._instances.row(instance_id)
        own = points.numpy().astype(np.int32)
        self.revision += 1
        self._owners.set_points(row, own, hits.numpy(), views.numpy(), self._grid.first_edge["edge"])
        world = self._grid.world_positions(own)
        self._instances["low"][row] = world.min(0) if len(world) else np.inf
        self._instances["high"][row] = world.max(0) if len(world) else -np.inf

    def copy(self) -> SceneMap:
        """An independent map with the same content."""
        copied = copy.copy(self)
        copied._grid, copied._owners, copied._instances = self._grid.copy(), self._owners.copy(), self._instances.copy()
        copied._keyframes = self._keyframes.copy()
        copied._seen_last = None
        return copied

    # ---- storage -------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything into one safetensors file (its header holds the JSON part): whole or not at all."""
        arrays, header = storage.pack(self._grid, self._owners, self._instances, self._keyframes)
        header |= {
            "voxel_m": self.voxel_m, "visible_m": self.visible_m, "frames": self.frames, "last_frame": self.last_frame,
            "origin": None if self._origin is None else self._origin.tolist(),
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
            scene._origin = storage.unpack_origin(header)
            scene.frames, scene.last_frame = int(header["frames"]), int(header["last_frame"])
            scene._grid, scene._owners, scene._instances, scene._keyframes = storage.unpack(
                arrays, header, scene.voxel_m
            )
        return scene
