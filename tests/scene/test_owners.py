"""The linked lists of ownership against two dictionaries."""

from __future__ import annotations

import numpy as np
import pytest

from seg3r.scene.owners import Ownership

POINTS, ROWS = 60, 7


class Model:
    """The same, as anyone would write it."""

    def __init__(self) -> None:
        self.edges: dict[tuple[int, int], list[int]] = {}

    def points_of(self, row: int) -> list[list[int]]:
        return sorted([p, *counts] for (r, p), counts in self.edges.items() if r == row)


@pytest.mark.parametrize("seed", range(8))
def test_any_history_of_changes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    owners, model = Ownership(), Model()
    owners._edges.__init__(2, **owners._edges._specs)  # type: ignore[misc]  # so small that it must grow
    first = np.full(POINTS, -1, np.int32)
    owners.reserve_rows(ROWS)
    for stamp in range(60):
        action = rng.integers(0, 6)
        if action <= 2:
            points = rng.integers(0, POINTS, 25).astype(np.int32)
            rows = rng.integers(0, ROWS, 25).astype(np.int32)
            owners.hit(points, rows, stamp, first)
            for row, point in {(int(r), int(p)) for r, p in zip(rows, points, strict=True)}:
                counts = model.edges.setdefault((row, point), [0, 0])
                counts[0] += 1
                counts[1] += 1
            visible = rng.permutation(POINTS)[:30].astype(np.int32)
            matched = (rng.random(ROWS) < 0.5).astype(np.uint8)
            in_view = owners.count_views(visible, matched, stamp, first)
            for row in range(ROWS):
                seen = [p for r, p in model.edges if r == row and p in visible]
                assert in_view[row] == len(seen)
                for p in seen:
                    hit_now = (row, p) in {(int(r), int(q)) for r, q in zip(rows, points, strict=True)}
                    model.edges[row, p][1] += bool(matched[row]) and not hit_now
        elif action == 3:
            into, other = (int(r) for r in rng.permutation(ROWS)[:2])
            owners.absorb(into, other, first)
            for (row, point), counts in list(model.edges.items()):
                if row == other:
                    mine = model.edges.setdefault((into, point), [0, 0])
                    mine[0] += counts[0]
                    mine[1] += counts[1]
                    del model.edges[row, point]
        else:
            row, keep = int(rng.integers(0, ROWS)), rng.permutation(POINTS)[: int(rng.integers(0, 20))].astype(np.int32)
            hits, views = (rng.integers(1, 9, len(keep)).astype(np.int32) for _ in range(2))
            owners.set_points(row, keep, hits, views, first)
            model.edges = {e: counts for e, counts in model.edges.items() if e[0] != row}
            model.edges |= {
                (row, int(p)): [int(h), int(v)] for p, h, v in zip(keep, hits, views, strict=True)
            }
        for row in range(ROWS):
            assert np.stack(owners.points_of(row), 1).tolist() == model.points_of(row)
        assert owners.sizes(ROWS).tolist() == [len(model.points_of(row)) for row in range(ROWS)]
        expected = sorted([r, p, *counts] for (r, p), counts in model.edges.items())
        assert np.stack(owners.table(), 1).tolist() == expected
        row = int(rng.integers(0, ROWS))
        mine = {p for r, p in model.edges if r == row}
        shared = [sum(r == other and p in mine for r, p in model.edges) for other in range(ROWS)]
        assert owners.shared_with(row, ROWS, first).tolist() == shared
        some = rng.permutation(POINTS)[:10].astype(np.int32)
        assert owners.owners_of(some, ROWS, first).tolist() == sorted({r for r, p in model.edges if p in some})


def test_freed_edges_are_used_again() -> None:
    owners, first = Ownership(), np.full(POINTS, -1, np.int32)
    owners.reserve_rows(1)
    everything, ones = np.arange(POINTS, dtype=np.int32), np.ones(POINTS, np.int32)
    for _ in range(100):
        owners.set_points(0, everything, ones, ones, first)
    assert owners._counts[0] == POINTS


def test_load_is_table_backwards() -> None:
    rng, first, again = np.random.default_rng(0), np.full(POINTS, -1, np.int32), np.full(POINTS, -1, np.int32)
    one, two = Ownership(), Ownership()
    for owners in (one, two):
        owners.reserve_rows(ROWS)
    for stamp in range(4):
        one.hit(rng.integers(0, POINTS, 80).astype(np.int32), rng.integers(0, ROWS, 80).astype(np.int32), stamp, first)
    two.load(*one.table(), again)
    assert np.array_equal(np.stack(one.table()), np.stack(two.table()))
    twin = two.copy()
    twin.hit(np.zeros(1, np.int32), np.zeros(1, np.int32), 9, again.copy())
    assert np.array_equal(np.stack(one.table()), np.stack(two.table()))


def test_overlap_counts_points_cells_and_both() -> None:
    owners, first = Ownership(), np.full(POINTS, -1, np.int32)
    owners.reserve_rows(2)
    owners.hit(np.array([0, 1, 2, 2, 3], np.int32), np.array([0, 0, 0, 1, 1], np.int32), 0, first)
    # Cell 0 is in segments 0 and 1, cell 1 in none, cell 2 in segment 1.
    start, of_cell = np.array([0, 2, 2, 3], np.int32), np.array([0, 1, 1], np.int32)
    points, cells = np.array([0, 2, 3, 9], np.int32), np.array([0, 0, 2, 1], np.int32)
    shared, segment, instance = owners.overlap(
        points, cells, start, of_cell, 2, np.array([1, 0], np.int32), 2, first
    )
    assert shared.tolist() == [[1, 2], [2, 2]]
    assert segment.tolist() == [2, 3]
    assert instance.tolist() == [2, 2]


def test_some_points_of_rows_are_spread_and_the_same_in_any_order() -> None:
    points = np.arange(1000, dtype=np.int32)
    rows = np.where(points < 900, 0, 1).astype(np.int32)
    found = []
    for order in (points, points[::-1], np.random.default_rng(0).permutation(points)):
        owners = Ownership()
        owners.reserve_rows(2)
        owners.hit(order.astype(np.int32), rows[order], 0, np.full(1000, -1, np.int32))
        some, owner = owners.some_of(np.array((1, 0)), 90)
        found.append((sorted(some[owner == 0].tolist()), sorted(some[owner == 1].tolist())))
    assert found[0] == found[1] == found[2]
    few, many = found[0]
    assert few == list(range(900, 1000)) and len(many) == 90 and set(np.diff(many)) == {10}
    assert all(len(each) == 0 for each in owners.some_of(np.zeros(0, np.int64), 5))
