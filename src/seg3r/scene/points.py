"""One point per occupied voxel (a cloud from outside may bring more), found by place in constant time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64, Int32, Int64, UInt8

from seg3r.kernels import grid as kernels
from seg3r.scene.columns import Columns
from seg3r.scene.visible import lattice_cells
from seg3r.types import Segments, View

MOST_SURPLUS = 7 * kernels.CELLS
"""Points that a block of voxels may hold beyond one a voxel."""


def inverse(T_to_from: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "4 4"]:
    """T_from_to in double precision."""
    return np.linalg.inv(T_to_from).astype(np.float64)


class PointGrid:
    """A sparse voxel grid. Positions are kept in the map's own frame (that of the first camera), so that where the
    world's axes happen to lie changes nothing."""

    def __init__(self, voxel_m: float) -> None:
        self.voxel_m = voxel_m
        self.T_map_world: Float64[np.ndarray, "4 4"] = np.eye(4)
        self._counts = np.zeros(2, np.int64)  # points, blocks
        self._stamp = 0
        self.table = Columns(
            1024,
            position=(np.float32, (3,), 0), color=(np.float32, (3,), 0), origin=(np.int32, (3,), -1),
            seen=(np.int32, (), 0), weight=(np.int32, (), 0), stamp=(np.int32, (), -1),
        )
        self.first_edge = Columns(1024, edge=(np.int32, (), -1))
        self._blocks = Columns(
            64, key=(np.int64, (), -1), grid=(np.int32, (kernels.CELLS,), -1),
            members=(np.int32, (kernels.CELLS,), -1), points=(np.int32, (), 0), stamp=(np.int32, (), -1),
            surplus=(np.int32, (), 0),
        )
        self._slots = np.full(256, -1, np.int32)

    def __len__(self) -> int:
        return int(self._counts[0])

    def copy(self) -> PointGrid:
        """Independent storage with the same content."""
        copied = PointGrid(self.voxel_m)
        copied.T_map_world = self.T_map_world.copy()
        copied._counts = self._counts.copy()
        copied._stamp = self._stamp
        copied.table, copied.first_edge, copied._blocks = self.table.copy(), self.first_edge.copy(), self._blocks.copy()
        copied._slots = self._slots.copy()
        return copied

    def _grow(self) -> None:
        """Called when a kernel ran out of points or of blocks."""
        points, blocks = (int(c) for c in self._counts)
        if points == self.table.capacity:
            self.table.reserve(points + 1)
            self.first_edge.reserve(self.table.capacity)
        if blocks == self._blocks.capacity:
            self._blocks.reserve(blocks + 1)
            while self._slots.size < 4 * self._blocks.capacity:
                self._slots = np.full(2 * self._slots.size, -1, np.int32)
            kernels.rehash(self._slots, self._blocks["key"], blocks)

    def insert(
        self, points: Float32[np.ndarray, "n 3"], colors: UInt8[np.ndarray, "n 3"],
        pixels: Int32[np.ndarray, "n 2"], frame: int, stamp: int,
        eye: Float64[np.ndarray, "3"] | None = None, reach: int = 0,
    ) -> Int32[np.ndarray, "n"]:
        """Rows of the points (in world) after putting them into their voxels; -1 beyond the grid's edge. A new stamp
        counts a new sight.

        Args:
            eye: from where they were seen (in world); with it, a point for whose voxel there is none counts for one at
                most `reach` voxels before or behind it.
        """
        rows = np.empty(len(points), np.int32)
        eye_map = np.zeros(3) if eye is None else self.T_map_world[:3, :3] @ eye + self.T_map_world[:3, 3]
        done = 0
        while True:
            t, b = self.table, self._blocks
            done = kernels.insert(
                done, points, colors, pixels, self.T_map_world, eye_map, 0 if eye is None else reach, self.voxel_m,
                frame, stamp, self._slots, b["key"], b["points"], b["members"], b["grid"], self._counts,
                t["position"], t["color"], t["origin"], t["seen"], t["weight"], t["stamp"], self.first_edge["edge"],
                rows,
            )
            if done == len(points):
                return rows
            self._grow()

    def take(self, view: View, segments: Segments, stamp: int, reach: int) -> Int32[np.ndarray, "n"]:
        """Points of the segments, and all other confident ones on the same lattice: the room behind the things.

        Returns rows of the segments' points; `stamp` and `reach` as of `insert`.
        """
        stride, eye = segments.stride, view.camera.T_world_cam[:3, 3].numpy()
        rows = self.insert(
            segments.points.numpy(), segments.colors.numpy(), segments.pixels.numpy().astype(np.int32),
            segments.frame_index, stamp, eye, reach,
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
        self.insert(
            rest_points[:count], rest_colors[:count], rest_pixels[:count], segments.frame_index, stamp, eye, reach,
        )
        return rows

    def reaches(self, place: Float64[np.ndarray, "3"]) -> bool:
        """Whether a place (in world) lies within the grid."""
        place_map = self.T_map_world[:3, :3] @ place + self.T_map_world[:3, 3]
        return bool((np.abs(place_map) < self.edge_m).all())

    @property
    def edge_m(self) -> float:
        """How far the grid reaches from its origin along each axis, metres."""
        return float(kernels.EDGE * self.voxel_m)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """What is to be kept of the points, by name."""
        return {name: self.table[name][: len(self)] for name in self.table if name != "stamp"}

    def load(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        """Take over kept columns and rebuild the grid. A voxel may hold several points if they come so: a measurement
        that falls into it later joins the last of them.

        Raises:
            ValueError: positions are not within the grid, or crowd in a block of voxels (`MOST_SURPLUS`).
        """
        count = len(columns["position"])
        if not (np.abs(columns["position"]) < self.edge_m).all():
            raise ValueError("point.position is not finite, or beyond the grid's edge")
        if "normal" in columns:
            self.table.add("normal", np.float32, (3,), 0)
        for name, values in columns.items():
            self.table[name] = values
        self.first_edge.reserve(self.table.capacity)
        self._counts[0] = count
        done = 0
        while True:
            b = self._blocks
            done = kernels.index_points(
                done, self.table["position"], count, self.voxel_m, self._slots, b["key"], b["points"],
                b["members"], b["grid"], b["surplus"], self._counts,
            )
            if done == count:
                return
            if done < 0:
                done = -done - 1
                width = 2 * b["members"].shape[1]
                if width > kernels.CELLS + MOST_SURPLUS:
                    raise ValueError(f"more than {MOST_SURPLUS} points in a cube of {kernels.SIDE * self.voxel_m:g} m")
                b.add("members", np.int32, (width,), -1)
            else:
                self._grow()

    def locate(self, points: Float32[np.ndarray, "n 3"], reach: int = 0) -> Int32[np.ndarray, "n"]:
        """Row of the point in each place's voxel (or in one at most `reach` voxels off), or -1. Places in world."""
        rows = np.empty(len(points), np.int32)
        kernels.locate(
            points, self.T_map_world, self.voxel_m, reach, self._slots, self._blocks["key"], self._blocks["grid"], rows
        )
        return rows

    def new_voxels(
        self, points: Float32[np.ndarray, "n 3"], segment_ids: Int64[np.ndarray, "n"], count: int
    ) -> Int32[np.ndarray, "count"]:
        """How many voxels each segment covers that lie further than a voxel from all that is mapped."""
        known = self.locate(points, reach=1)
        counts = np.zeros(count, np.int32)
        kernels.new_voxels(points, segment_ids, known, self.T_map_world, self.voxel_m, counts)
        return counts

    def visible(
        self, depth: Float32[np.ndarray, "H W"], K: Float64[np.ndarray, "3 3"],
        T_world_cam: Float64[np.ndarray, "4 4"], tolerance: float,
    ) -> tuple[Int32[np.ndarray, "v"], Int32[np.ndarray, "v"]]:
        """Rows of all points that a depth map confirms within `tolerance` metres, and their pixels (flat)."""
        self._stamp += 1
        T_map_cam = self.T_map_world @ T_world_cam
        blocks = np.empty(int(self._counts[1]), np.int32)
        step = max(1, depth.shape[1] // 80)
        found = kernels.visible_blocks(
            depth, K, T_map_cam, self.voxel_m, tolerance, step,
            self._slots, self._blocks["key"], len(blocks), self._blocks["stamp"], self._stamp, blocks,
        )
        counts = self._blocks["points"][blocks[:found]]
        room = int(counts.sum()) + 1  # the kernel writes one ahead
        rows, pixels = np.empty(room, np.int32), np.empty(room, np.int32)
        count = kernels.visible_points(
            blocks[:found], counts, self._blocks["members"], self.table["position"], depth, K, inverse(T_map_cam),
            tolerance, rows, pixels,
        )
        return rows[:count], pixels[:count]

    def project(
        self, rows: Int32[np.ndarray, "n"], depth: Float32[np.ndarray, "H W"],
        K: Float64[np.ndarray, "3 3"], T_world_cam: Float64[np.ndarray, "4 4"], tolerance: float,
    ) -> Int32[np.ndarray, "n"]:
        """Pixel (flat) at which a depth map confirms each of these points, or -1."""
        pixels = np.empty(len(rows), np.int32)
        T_cam_map = inverse(self.T_map_world @ T_world_cam)
        kernels.project_points(rows, self.table["position"], depth, K, T_cam_map, tolerance, pixels)
        return pixels

    def world_positions(self, rows: Int32[np.ndarray, "n"] | None = None) -> Float32[np.ndarray, "m 3"]:
        """In world, of all points or of these."""
        T_world_map = inverse(self.T_map_world)
        positions = self.table["position"][: len(self)] if rows is None else self.table["position"][rows]
        placed: Float64[np.ndarray, "n 3"] = positions.astype(np.float64) @ T_world_map[:3, :3].T + T_world_map[:3, 3]
        return placed.astype(np.float32)

    def world_normals(self) -> Float32[np.ndarray, "n 3"] | None:
        """In world; None where the points came without."""
        if "normal" not in self.table:
            return None
        turned: Float64[np.ndarray, "n 3"] = self.table["normal"][: len(self)] @ inverse(self.T_map_world)[:3, :3].T
        return turned.astype(np.float32)

    def set_world_normals(self, rows: Int32[np.ndarray, "n"], normals: Float32[np.ndarray, "n 3"]) -> None:
        """Of these points."""
        self.table["normal"][rows] = normals @ self.T_map_world[:3, :3].T
