"""Meshes for superpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seg3r.superpoints import read_mesh

DATA = Path(__file__).parents[1] / "data" / "superpoints"


def load(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    with np.load(DATA / f"{name}.npz") as file:
        arrays = dict(file)
    if "vertices" not in arrays:
        return *read_mesh(DATA / f"{name}.ply"), arrays
    return arrays["vertices"], arrays["faces"].astype(np.int64), arrays


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack((a, b)), axis=1).T)
    return pairs == len(np.unique(a)) == len(np.unique(b))


def grid(rows: int, columns: int, height: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A height field of 1 cm cells."""
    y, x = np.mgrid[:rows, :columns] * 0.01
    z = np.zeros((rows, columns)) if height is None else height
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = i[:-1, :-1].ravel(), i[:-1, 1:].ravel(), i[1:, :-1].ravel(), i[1:, 1:].ravel()
    faces = np.concatenate((np.stack((a, b, c), 1), np.stack((b, d, c), 1)))
    return np.stack((x, y, z), axis=-1).reshape(-1, 3).astype(np.float32), faces


def roof() -> tuple[np.ndarray, np.ndarray]:
    """Two planes that meet at a right angle: the left and the right half of the columns."""
    return grid(12, 21, np.broadcast_to(np.abs(np.arange(21) - 10) * -0.01, (12, 21)))


def components(edges: np.ndarray, n: int) -> np.ndarray:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]
