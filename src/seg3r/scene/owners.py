"""Who owns each point, and how often: hits (frames that said so) among views (frames of the instance that saw it)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from seg3r.kernels import owners as kernels
from seg3r.scene.columns import Columns


class Ownership:
    """Edges between instance rows and point rows. The heads of the points' lists live with the points."""

    def __init__(self) -> None:
        self._counts = np.array([0, -1], np.int64)  # edges used, head of the free list
        self._edges = Columns(
            1024,
            row=(np.int32, (), -1), point=(np.int32, (), -1), hits=(np.int32, (), 0), views=(np.int32, (), 0),
            next=(np.int32, (), -1), row_next=(np.int32, (), -1),
            hit_stamp=(np.int32, (), -1), view_stamp=(np.int32, (), -1),
        )
        self._rows = Columns(64, first=(np.int32, (), -1), size=(np.int32, (), 0))

    def copy(self) -> Ownership:
        """Independent storage with the same content."""
        copied = Ownership()
        copied._counts = self._counts.copy()
        copied._edges, copied._rows = self._edges.copy(), self._rows.copy()
        return copied

    def reserve_rows(self, rows: int) -> None:
        """Make room for instance rows."""
        self._rows.reserve(rows)

    def sizes(self, rows: int) -> Int32[np.ndarray, "rows"]:
        """Points owned by each of the first `rows` instance rows."""
        return self._rows["size"][:rows]

    def hit(
        self, points: Int32[np.ndarray, "n"], rows: Int32[np.ndarray, "n"], stamp: int,
        first_of_point: Int32[np.ndarray, "points"],
    ) -> None:
        """One hit per (row, point) and stamp."""
        done = 0
        while True:
            e, r = self._edges, self._rows
            done = kernels.hit(
                done, points, rows, stamp, first_of_point, r["first"], r["size"], e["row"], e["point"], e["hits"],
                e["views"], e["next"], e["row_next"], e["hit_stamp"], e["view_stamp"], self._counts,
            )
            if done == len(points):
                return
            self._edges.reserve(self._edges.capacity + 1)

    def count_views(
        self, points: Int32[np.ndarray, "v"], matched: UInt8[np.ndarray, "rows"], stamp: int,
        first_of_point: Int32[np.ndarray, "points"],
    ) -> Int32[np.ndarray, "rows"]:
        """Count one view for the visible points of matched rows; returns how many points of each row are in view."""
        in_view = np.zeros(len(matched), np.int32)
        e = self._edges
        kernels.count_views(
            points, matched, stamp, first_of_point, e["row"], e["next"], e["views"], e["view_stamp"], in_view
        )
        return in_view

    def owners_of(
        self, points: Int32[np.ndarray, "n"], rows: int, first_of_point: Int32[np.ndarray, "points"]
    ) -> Int32[np.ndarray, "owners"]:
        """The rows that own any of these points, ascending."""
        flags = np.zeros(rows, np.uint8)
        kernels.rows_of_points(points, first_of_point, self._edges["row"], self._edges["next"], flags)
        return flags.nonzero()[0].astype(np.int32)

    def overlap(
        self, points: Int32[np.ndarray, "v"], cells: Int32[np.ndarray, "v"],
        cell_start: Int32[np.ndarray, "cells_and_one"], cell_segments: Int32[np.ndarray, "pixels"], segments: int,
        column_of_row: Int32[np.ndarray, "rows"], columns: int, first_of_point: Int32[np.ndarray, "points"],
    ) -> tuple[Int32[np.ndarray, "m c"], Int32[np.ndarray, "m"], Int32[np.ndarray, "c"]]:
        """Points shared by each (segment, column), covered by each segment, owned by each column."""
        shared = np.zeros((segments, columns), np.int32)
        segment_size, instance_size = np.zeros(segments, np.int32), np.zeros(columns, np.int32)
        kernels.overlap_counts(
            points, cells, cell_start, cell_segments, first_of_point, self._edges["row"], self._edges["next"],
            column_of_row, shared, segment_size, instance_size,
        )
        return shared, segment_size, instance_size

    def shared_with(
        self, row: int, rows: int, first_of_point: Int32[np.ndarray, "points"]
    ) -> Int32[np.ndarray, "rows"]:
        """How many points of this row each of the first `rows` rows owns too."""
        counts = np.zeros(rows, np.int32)
        points = self._edges["point"][self._of(row)]
        kernels.count_owners(points, first_of_point, self._edges["row"], self._edges["next"], counts)
        return counts

    def _of(self, row: int) -> Int32[np.ndarray, "n"]:
        edges = np.empty(int(self._rows["size"][row]), np.int32)
        kernels.edges_of_row(row, self._rows["first"], self._edges["row_next"], edges)
        return edges

    def points_of(self, row: int) -> tuple[Int32[np.ndarray, "n"], Int32[np.ndarray, "n"], Int32[np.ndarray, "n"]]:
        """Points of one instance in ascending order, with their hits and views."""
        edges = self._of(row)
        points = self._edges["point"][edges]
        order = np.argsort(points, kind="stable")
        edges = edges[order]
        return points[order], self._edges["hits"][edges], self._edges["views"][edges]

    def some_of(self, rows: Int64[np.ndarray, "k"], most: int) -> tuple[Int32[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """About `most` points of each of these rows, the same whatever the order in which they came; and whose each is
        (its place in `rows`)."""
        sizes = self._rows["size"][rows]
        points, owner = np.empty(int(sizes.sum()), np.int32), np.empty(int(sizes.sum()), np.int64)
        count = kernels.some_of_rows(
            rows, np.maximum(sizes // most, 1).astype(np.int32), self._rows["first"], self._edges["point"],
            self._edges["row_next"], points, owner,
        )
        return points[:count], owner[:count]

    def absorb(self, into: int, row: int, first_of_point: Int32[np.ndarray, "points"]) -> None:
        """Row `row` becomes part of row `into`."""
        edges = self._of(row)
        spare = np.empty(len(edges), np.int32)
        e, r = self._edges, self._rows
        spared = kernels.absorb_row(
            edges, into, first_of_point, r["first"], r["size"], e["row"], e["point"], e["hits"], e["views"],
            e["next"], e["row_next"], spare,
        )
        kernels.unlink(spare[:spared], first_of_point, e["row"], e["point"], e["next"], self._counts)
        r["first"][row], r["size"][row] = -1, 0

    def set_points(
        self, row: int, points: Int32[np.ndarray, "n"], hits: Int32[np.ndarray, "n"], views: Int32[np.ndarray, "n"],
        first_of_point: Int32[np.ndarray, "points"],
    ) -> None:
        """Replace what a row owns."""
        e, r = self._edges, self._rows
        kernels.unlink(self._of(row), first_of_point, e["row"], e["point"], e["next"], self._counts)
        r["first"][row], r["size"][row] = -1, 0
        self.hit(points, np.full(len(points), row, np.int32), -2, first_of_point)
        edges = self._of(row)
        order = np.argsort(self._edges["point"][edges], kind="stable")
        wanted = np.argsort(points, kind="stable")
        self._edges["hits"][edges[order]] = hits[wanted]
        self._edges["views"][edges[order]] = views[wanted]

    def table(self) -> tuple[
        Int32[np.ndarray, "edges"], Int32[np.ndarray, "edges"], Int32[np.ndarray, "edges"], Int32[np.ndarray, "edges"]
    ]:
        """All edges as (row, point, hits, views), sorted by row, then point."""
        used = int(self._counts[0])
        alive = self._edges["row"][:used] >= 0
        row, point = self._edges["row"][:used][alive], self._edges["point"][:used][alive]
        order = np.lexsort((point, row))
        hits, views = self._edges["hits"][:used][alive][order], self._edges["views"][:used][alive][order]
        return row[order], point[order], hits, views

    def load(
        self, row: Int32[np.ndarray, "edges"], point: Int32[np.ndarray, "edges"], hits: Int32[np.ndarray, "edges"],
        views: Int32[np.ndarray, "edges"], first_of_point: Int32[np.ndarray, "points"],
    ) -> None:
        """Fill empty storage with saved edges; ValueError where one is there twice."""
        self.hit(point, row, -2, first_of_point)
        if int(self._counts[0]) != len(point):
            raise ValueError("an owner is there twice")
        self._edges["hits"], self._edges["views"] = hits, views
