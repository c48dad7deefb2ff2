"""Points and edges -> segments of even orientation: Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image
Segmentation" (IJCV 2004), as in ScanNet's Segmentator."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int64, Integer

from seg3r.errors import InputError
from seg3r.kernels import superpoints as kernel


def graph_superpoints(
    points: Float32[np.ndarray, "n 3"],
    normals: Float32[np.ndarray, "n 3"],
    edges: Integer[np.ndarray, "e 2"],
    k: float = 0.01,
    min_points: int = 20,
) -> Int64[np.ndarray, "n"]:
    """Segment of every point of a cloud whose neighbours are given; weights as on a mesh.

    Args:
        points: metres.
        normals: unit length, all facing out of the surface. NaN = unknown: joins nothing but a too small segment.
        edges: neighbours, in the order that decides ties.
        k: as in `mesh_superpoints`.
        min_points: likewise.
    """
    check_graph(points, edges, "edge")
    edges = np.ascontiguousarray(edges, np.int64)
    weights = kernel.edge_weights(np.ascontiguousarray(points), np.ascontiguousarray(normals), edges)
    return segment_graph(weights, edges, len(points), k, min_points)


def segment_graph(
    weights: Float32[np.ndarray, "e"], edges: Integer[np.ndarray, "e 2"], count: int, k: float, min_size: int
) -> Int64[np.ndarray, "n"]:
    """Segment of every node of a weighted graph, 0.. by first appearance. No segment crosses between components.

    Args:
        weights: how unlike the two ends of each edge are. NaN comes last and joins only what is too small.
        edges: pairs of nodes; of equal weights the earlier edge is visited first.
        count: nodes.
        k: a segment of n nodes takes an edge up to (its heaviest so far) + k / n.
        min_size: nodes; smaller segments then join along their lightest edge.
    """
    if not k > 0:
        raise InputError(f"k must be positive, got {k}")
    if len(edges) and not 0 <= edges.min() <= edges.max() < count:
        raise InputError(f"edges must name nodes 0..{count - 1}")
    edges = np.ascontiguousarray(edges, np.int64)
    return kernel.segment(_ascending(weights), weights, edges, count, np.float32(k), min_size)


def check_graph(points: Float[np.ndarray, "n 3"], rows: Integer[np.ndarray, "r d"], noun: str) -> None:
    """Raises InputError for a point that is not finite, or an edge or face that names none."""
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise InputError(f"point {int(bad.argmax())} is not finite")
    bad = ((rows < 0) | (rows >= len(points))).any(axis=1)
    if bad.any():
        raise InputError(f"{noun} {int(bad.argmax())} names a point outside 0..{len(points) - 1}")


def _ascending(weights: Float32[np.ndarray, "e"]) -> Int64[np.ndarray, "e"]:
    """Stable argsort, NaN last.

    The bits of a float sort like an integer once those of negative ones are flipped; with the place below them a plain
    sort of one array does, four times as fast as a stable argsort.
    """
    clean = np.where(np.isnan(weights), np.float32(np.nan), weights + np.float32(0))  # one NaN, no -0
    bits = clean.view(np.uint32)
    keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    packed = (keys << np.uint64(32)) | np.arange(len(weights), dtype=np.uint64)
    packed.sort()
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
