"""Queries at their places in the world: MoonSeg3R's query index memory (arXiv 2512.15577, section 3).

World points are keys, each names the queries whose masks it fell into; what a camera should see again is found by
projecting the keys, not by similarity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, Shaped
from torch import Tensor

from seg3r.errors import InputError
from seg3r.geometry import invert, voxel_coordinates, voxel_keys
from seg3r.kernels import memory as kernels
from seg3r.types import Camera, View

INSIDE = 0.5
"""A key falls into a mask that covers more of its cell."""
ROOM = 1024
"""So many queries are held before the first search for those that no key names any more."""
RETAINED = 0.9
"""Of the keys, those used last, when there are too many."""


class Recalled(NamedTuple):
    """Queries of earlier frames that should be in view."""

    ids: Int64[Tensor, "k"]
    """Running numbers, as `add` gave them; ascending."""
    queries: Float32[Tensor, "k d"]
    footprints: Bool[Tensor, "k h w"]
    """Cells where a key that names the query is seen."""


class QueryIndexMemory:
    """Keys, one to a voxel; posting lists key -> queries; the bank of queries.

    Bounded by the space seen: a key names the last `per_key` queries, a query that no key names is forgotten, and of
    more than `most_keys` keys those used longest ago go.
    """

    def __init__(
        self, voxel_m: float = 0.05, per_key: int = 8, most_keys: int = 200_000, most_recalled: int = 256,
        hidden_share: float = 0.05, hidden_m: float = 0.05,
    ) -> None:
        """
        Args:
            voxel_m: of the keys.
            per_key: the more, the more often the same thing comes back: with 64 a camera that stands still recalls
                nothing but its four largest things.
            most_recalled: those with the largest footprints.
            hidden_share, hidden_m: a key farther than depth * (1 + share) + m is hidden.
        """
        self.voxel_m, self.per_key, self.most_keys, self.most_recalled = voxel_m, per_key, most_keys, most_recalled
        self.hidden_share, self.hidden_m = hidden_share, hidden_m
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._keys: Float64[np.ndarray, "k 3"] = np.zeros((0, 3))
        self._postings = np.zeros((0, self.per_key), np.int32)
        self._ends = np.zeros(0, np.int32)
        self._used = np.zeros(0, np.int64)
        self._order()
        self._clock = self._given = 0
        self._ids = np.zeros(0, np.int64)
        self._bank: Float32[Tensor, "q d"] | None = None
        self._limit = ROOM

    def __len__(self) -> int:
        """Keys."""
        return len(self._keys)

    @property
    def queries(self) -> int:
        """Queries in the bank, some of which no key may name any more."""
        return len(self._ids)

    def retrieve(self, camera: Camera, depth: Float32[Tensor, "H W"], grid: tuple[int, int]) -> Recalled:
        """What `camera` should see again.

        Args:
            depth: of this view, 0 = not known: hides nothing.
            grid: (h, w) over the whole image.
        """
        h, w = grid
        if self._bank is None:
            return Recalled(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 0), torch.zeros(0, h, w).bool())
        cells = np.empty(len(self._keys), np.int32)
        kernels.visible_cells(
            self._keys, camera.K.numpy(), invert(camera.T_world_cam).numpy(), depth.cpu().numpy(), h, w,
            self.hidden_share, self.hidden_m, cells,
        )
        seen = np.flatnonzero(cells >= 0)
        seen = seen[np.argsort(cells[seen], kind="stable")]
        cells = cells[seen]
        counts = np.zeros(len(self._ids), np.int32)
        kernels.count_cells(seen, cells, self._postings, counts)
        # The largest; of equal ones the newest.
        rows = np.lexsort((-self._ids, -counts))[: self.most_recalled]
        rows = np.sort(rows[counts[rows] > 0])
        place = np.full(len(self._ids), -1, np.int32)
        place[rows] = np.arange(len(rows))
        footprints = np.zeros((len(rows), h * w), bool)
        kernels.fill_footprints(seen, cells, self._postings, place, footprints)
        return Recalled(
            torch.from_numpy(self._ids[rows]), self._bank[torch.from_numpy(rows)],
            torch.from_numpy(footprints).view(-1, h, w),
        )

    def add(
        self, keys: Float64[Tensor, "h w 3"], valid: Bool[Tensor, "h w"], masks: Float32[Tensor, "m h w"],
        queries: Float32[Tensor, "m d"],
    ) -> Int64[Tensor, "m"]:
        """Remember the queries of a frame at the keys that their masks cover; returns their running numbers.

        Args:
            keys, valid: of each cell; see `spatial_keys`.
            masks: share of each cell.
        """
        ids = self._given + np.arange(len(queries))
        if not len(queries):
            return torch.from_numpy(ids)
        first = len(self._ids)
        self._given += len(queries)
        self._clock += 1
        self._ids = np.concatenate((self._ids, ids))
        queries = queries.detach().cpu()
        self._bank = queries.clone() if self._bank is None else torch.cat((self._bank, queries))
        which, cell = np.nonzero(((masks.cpu() > INSIDE) & valid.cpu()).flatten(1).numpy())
        slots = self._slots(keys.flatten(0, 1)[torch.from_numpy(cell)])
        kernels.post(slots, (first + which).astype(np.int32), self._postings, self._ends)
        self._used[slots] = self._clock
        if len(self._keys) > self.most_keys:
            self._drop_keys()
        if len(self._ids) > self._limit:
            self._drop_queries()
        return torch.from_numpy(ids)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        arrays: dict[str, Shaped[np.ndarray, "..."]] = {
            "keys": self._keys, "postings": self._postings, "ends": self._ends, "used": self._used, "ids": self._ids,
            "counts": np.array((self._clock, self._given, self._limit)),
        }
        bank = {} if self._bank is None else {"bank": self._bank}
        return {name: torch.from_numpy(value.copy()) for name, value in arrays.items()} | bank

    def restore(self, state: dict[str, Tensor]) -> None:
        """Raises InputError for the state of something else."""
        self.reset()
        try:
            held = {name: state[name].numpy().copy() for name in ("keys", "postings", "ends", "used", "ids", "counts")}
        except KeyError as error:
            raise InputError(f"not a query index memory: it lacks {error}") from error
        if held["postings"].shape != (len(held["keys"]), self.per_key):
            raise InputError(
                f"a memory of {held['postings'].shape[1]} queries to a key, this one holds {self.per_key}"
            )
        self._keys, self._postings, self._ends = held["keys"], held["postings"], held["ends"]
        self._used, self._ids = held["used"], held["ids"]
        self._clock, self._given, self._limit = (int(n) for n in held["counts"])
        self._bank = state["bank"].clone() if "bank" in state else None
        self._order()

    def _order(self) -> None:
        """The index voxel -> slot anew."""
        voxels = voxel_keys(voxel_coordinates(torch.from_numpy(self._keys), self.voxel_m)).numpy()
        self._slot_order = np.argsort(voxels, kind="stable")
        self._voxels = voxels[self._slot_order]

    def _slots(self, points: Float64[Tensor, "n 3"]) -> Int64[np.ndarray, "n"]:
        """The slot of the key in each point's voxel; the first point of a new voxel becomes its key."""
        voxels = voxel_keys(voxel_coordinates(points, self.voxel_m)).numpy()
        new, first = np.unique(voxels, return_index=True)
        at = np.searchsorted(self._voxels, new)
        known = np.zeros(len(new), bool)
        inside = at < len(self._voxels)
        known[inside] = self._voxels[at[inside]] == new[inside]
        new, first, at = new[~known], first[~known], at[~known]
        count = len(self._keys)
        self._keys = np.concatenate((self._keys, points.numpy()[first]))
        self._postings = np.concatenate((self._postings, np.full((len(new), self.per_key), -1, np.int32)))
        self._ends = np.concatenate((self._ends, np.zeros(len(new), np.int32)))
        self._used = np.concatenate((self._used, np.zeros(len(new), np.int64)))
        self._voxels = np.insert(self._voxels, at, new)
        self._slot_order = np.insert(self._slot_order, at, count + np.arange(len(new)))
        return self._slot_order[np.searchsorted(self._voxels, voxels)]

    def _drop_keys(self) -> None:
        keep = np.sort(np.argsort(-self._used, kind="stable")[: int(RETAINED * self.most_keys)])
        self._keys, self._postings = self._keys[keep], self._postings[keep]
        self._ends, self._used = self._ends[keep], self._used[keep]
        self._order()

    def _drop_queries(self) -> None:
        """Those that no key names."""
        assert self._bank is not None
        rows = np.unique(self._postings)
        rows = rows[rows >= 0]
        place = np.full(len(self._ids) + 1, -1, np.int32)  # the last is where -1 points
        place[rows] = np.arange(len(rows))
        self._postings = place[self._postings]
        self._ids, self._bank = self._ids[rows], self._bank[torch.from_numpy(rows).long()]
        self._limit = max(ROOM, 2 * len(rows))


def spatial_keys(
    view: View, grid: tuple[int, int], least_share: float = 0.5, spread: float = 0.1
) -> tuple[Float64[Tensor, "h w 3"], Bool[Tensor, "h w"]]:
    """The mean world point of each cell, and which to trust.

    Args:
        grid: (h, w) over the whole image.
        least_share: of a cell's pixels that need depth and confidence.
        spread: standard deviation of a cell's depth, as a share of its mean, beyond which it holds an edge.
    """
    keys, valid = np.zeros((*grid, 3)), np.zeros(grid, bool)
    points, depth, confidence = (
        each.cpu().contiguous().numpy() for each in (view.points, view.depth, view.confidence)
    )
    kernels.pool_keys(points, depth, confidence, least_share, spread, keys, valid)
    return torch.from_numpy(keys), torch.from_numpy(valid)
