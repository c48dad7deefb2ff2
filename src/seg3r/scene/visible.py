"""What a view sees of the map, and how its segments lie on that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from seg3r.types import Segments


@dataclass(frozen=True, eq=False)
class Visible:
    """The map's points that a view confirms."""

    points: Int32[np.ndarray, "v"]
    """Rows."""
    pixels: Int32[np.ndarray, "v"]
    """Row * W + column in the view."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """How segments of one view and instances of the map share the points that the view sees."""

    ids: Int64[Tensor, "c"]
    """Instances with any visible point, ascending."""
    shared: Int32[Tensor, "m c"]
    """Visible points of the instance that the segment covers."""
    segment_sizes: Int32[Tensor, "m"]
    """Visible points the segment covers, plus its voxels that are new to the map."""
    instance_sizes: Int32[Tensor, "c"]
    """Visible points of the instance."""

    def widened(self, ids: Int64[Tensor, "k"]) -> Overlap:
        """Over all of `ids` (ascending, these among them): the others share nothing."""
        column = torch.searchsorted(ids, self.ids)
        shared = self.shared.new_zeros(len(self.shared), len(ids)).index_copy(1, column, self.shared)
        sizes = self.instance_sizes.new_zeros(len(ids)).index_copy(0, column, self.instance_sizes)
        return Overlap(ids, shared, self.segment_sizes, sizes)


def lattice_cells(segments: Segments, size: tuple[int, int]) -> tuple[int, Int64[np.ndarray, "p"]]:
    """How many cells the image has at the segments' stride, and the cell of each of their pixels."""
    columns = -(-size[1] // segments.stride)
    own = segments.pixels.numpy() // segments.stride
    return -(-size[0] // segments.stride) * columns, own[:, 0] * columns + own[:, 1]


def segments_by_cell(
    pixels: Int32[np.ndarray, "v"], segments: Segments, size: tuple[int, int]
) -> tuple[Int32[np.ndarray, "v"], Int32[np.ndarray, "cells_and_one"], Int32[np.ndarray, "p"]]:
    """Cell of each pixel (flat), and the segments in each cell as a compressed row list."""
    stride, W = segments.stride, size[1]
    cells, own = lattice_cells(segments, size)
    cell_of_pixel = (pixels // W // stride) * -(-W // stride) + pixels % W // stride
    order = np.argsort(own, kind="stable")
    start = np.zeros(cells + 1, np.int32)
    np.cumsum(np.bincount(own, minlength=cells), out=start[1:])
    return cell_of_pixel.astype(np.int32), start, segments.segment_ids.numpy()[order].astype(np.int32)
