"""The inner loops of the scene map: who owns each point.

Ownership is a set of edges (instance row, point), each threaded on two linked lists: the owners of a point, and the
points of an instance. Kernels that may run out of room return how far they came; the caller grows its arrays and calls
again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def hit(
    start: int, points: I32, rows: I32, stamp_now: int, first_of_point: I32, first_of_row: I32, size_of_row: I32,
    e_row: I32, e_point: I32, e_hits: I32, e_views: I32, e_next: I32, e_row_next: I32, e_hit_stamp: I32,
    e_view_stamp: I32, counts: I64,
) -> int:
    """Count one hit of `rows[i]` on `points[i]`, at most one a frame; makes the edge where there is none.

    `counts` holds (edges used, head of the free list). Returns the first pair that did not fit, or len(points).
    """
    for i in range(start, points.shape[0]):
        point, row = points[i], rows[i]
        e = first_of_point[point]
        while e >= 0 and e_row[e] != row:
            e = e_next[e]
        if e < 0:
            if counts[1] >= 0:
                e = int(counts[1])
                counts[1] = e_next[e]
            elif counts[0] < e_row.shape[0]:
                e = int(counts[0])
                counts[0] += 1
            else:
                return i
            e_row[e], e_point[e], e_hits[e], e_views[e] = row, point, 0, 0
            e_hit_stamp[e], e_view_stamp[e] = -1, -1
            e_next[e] = first_of_point[point]
            first_of_point[point] = e
            e_row_next[e] = first_of_row[row]
            first_of_row[row] = e
            size_of_row[row] += 1
        if e_hit_stamp[e] != stamp_now:
            e_hit_stamp[e] = stamp_now
            e_hits[e] += 1
            if e_view_stamp[e] != stamp_now:
                e_view_stamp[e] = stamp_now
                e_views[e] += 1
    return len(points)


@njit(cache=True, nogil=True)
def count_views(
    points: I32, matched: U8, stamp_now: int, first_of_point: I32, e_row: I32, e_next: I32, e_views: I32,
    e_view_stamp: I32, in_view: I32,
) -> None:
    """Of the visible points: one view for each edge of a matched row, and how many of each row's points are in view."""
    for i in range(points.shape[0]):
        e = first_of_point[points[i]]
        while e >= 0:
            row = e_row[e]
            in_view[row] += 1
            if matched[row] and e_view_stamp[e] != stamp_now:
                e_view_stamp[e] = stamp_now
                e_views[e] += 1
            e = e_next[e]


@njit(cache=True, nogil=True)
def edges_of_row(row: int, first_of_row: I32, e_row_next: I32, out: I32) -> int:
    """Edges of one instance; returns how many."""
    count = 0
    e = first_of_row[row]
    while e >= 0:
        out[count] = e
        count += 1
        e = e_row_next[e]
    return count


@njit(cache=True, nogil=True)
def some_of_rows(
    rows: I64, steps: I32, first_of_row: I32, e_point: I32, e_row_next: I32, points: I32, owner: I64
) -> int:
    """Points of some rows whose number their row's step divides, and the place of that row in `rows`; returns how many.
    """
    count = 0
    for i in range(rows.shape[0]):
        step = steps[i]
        e = first_of_row[rows[i]]
        while e >= 0:
            point = e_point[e]
            if step == 1 or point % step == 0:
                points[count], owner[count] = point, i
                count += 1
            e = e_row_next[e]
    return count


@njit(cache=True, nogil=True)
def unlink(edges: I32, first_of_point: I32, e_row: I32, e_point: I32, e_next: I32, counts: I64) -> None:
    """Take edges out of their points' lists and put them on the free list. The rows' lists are the caller's."""
    for i in range(edges.shape[0]):
        e = edges[i]
        point = e_point[e]
        if first_of_point[point] == e:
            first_of_point[point] = e_next[e]
        else:
            before = first_of_point[point]
            while e_next[before] != e:
                before = e_next[before]
            e_next[before] = e_next[e]
        e_row[e] = -1
        e_next[e] = counts[1]
        counts[1] = e


@njit(cache=True, nogil=True)
def absorb_row(
    edges: I32, into: int, first_of_point: I32, first_of_row: I32, size_of_row: I32, e_row: I32, e_point: I32,
    e_hits: I32, e_views: I32, e_next: I32, e_row_next: I32, spare: I32,
) -> int:
    """Give one row's edges to row `into`; where both own a point their counts add. Returns how many became spare."""
    spared = 0
    for i in range(edges.shape[0]):
        e = edges[i]
        other = first_of_point[e_point[e]]
        while other >= 0 and e_row[other] != into:
            other = e_next[other]
        if other >= 0:
            e_hits[other] += e_hits[e]
            e_views[other] += e_views[e]
            spare[spared] = e
            spared += 1
        else:
            e_row[e] = into
            e_row_next[e] = first_of_row[into]
            first_of_row[into] = e
            size_of_row[into] += 1
    return spared


@njit(cache=True, nogil=True)
def count_owners(points: I32, first_of_point: I32, e_row: I32, e_next: I32, counts: I32) -> None:
    """How many of these points each row owns."""
    for i in range(points.shape[0]):
        e = first_of_point[points[i]]
        while e >= 0:
            counts[e_row[e]] += 1
            e = e_next[e]


@njit(cache=True, nogil=True)
def overlap_counts(
    points: I32, cells: I32, cell_start: I32, cell_segments: I32, first_of_point: I32, e_row: I32, e_next: I32,
    column_of_row: I32, shared: I32, segment_size: I32, instance_size: I32,
) -> None:
    """Over visible points: how many each segment covers, each instance owns, and both do.

    `cells[i]` is the point's pixel cell; `cell_segments[cell_start[c]:cell_start[c + 1]]` are the segments there.
    """
    for i in range(points.shape[0]):
        begin, end = cell_start[cells[i]], cell_start[cells[i] + 1]
        for s in range(begin, end):
            segment_size[cell_segments[s]] += 1
        e = first_of_point[points[i]]
        while e >= 0:
            column = column_of_row[e_row[e]]
            if column >= 0:
                instance_size[column] += 1
                for s in range(begin, end):
                    shared[cell_segments[s], column] += 1
            e = e_next[e]


@njit(cache=True, nogil=True)
def rows_of_points(points: I32, first_of_point: I32, e_row: I32, e_next: I32, flags: U8) -> None:
    """Flag every row that owns any of these points."""
    for i in range(points.shape[0]):
        e = first_of_point[points[i]]
        while e >= 0:
            flags[e_row[e]] = 1
            e = e_next[e]
