"""Parallel arrays that grow by doubling: the storage of points, edges and instances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt


class Columns:
    """Named numpy arrays with one capacity; rows beyond the used ones hold each column's fill value."""

    def __init__(self, capacity: int, **columns: tuple[Any, tuple[int, ...], float | int]) -> None:
        """Each column is (dtype, trailing shape, fill)."""
        self._specs = columns
        self.capacity = capacity
        self._arrays = {
            name: np.full((capacity, *shape), fill, dtype) for name, (dtype, shape, fill) in columns.items()
        }

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[name]

    def __setitem__(self, name: str, values: npt.NDArray[Any]) -> None:
        """Fill the first len(values) rows; ValueError for values of another kind or shape."""
        dtype, shape, _ = self._specs[name]
        if values.dtype != dtype or values.shape[1:] != shape:
            wanted = f"{np.dtype(dtype)} [rows, {', '.join(str(n) for n in shape)}]"
            raise ValueError(f"{name}: {values.dtype} {list(values.shape)} where {wanted} belong")
        self.reserve(len(values))
        self._arrays[name][: len(values)] = values

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def reserve(self, rows: int) -> None:
        """Make room for at least `rows`; doubling keeps the cost of growth constant per row."""
        if rows <= self.capacity:
            return
        capacity = max(rows, 2 * self.capacity)
        for name, (dtype, shape, fill) in self._specs.items():
            grown = np.full((capacity, *shape), fill, dtype)
            grown[: self.capacity] = self._arrays[name]
            self._arrays[name] = grown
        self.capacity = capacity

    def add(self, name: str, dtype: Any, shape: tuple[int, ...], fill: float | int) -> None:
        """One more column, or another shape for one that is there; what fits of its content stays."""
        grown = np.full((self.capacity, *shape), fill, dtype)
        if name in self._arrays:
            before = self._arrays[name]
            grown[tuple(slice(0, n) for n in before.shape)] = before
        self._specs, self._arrays[name] = {**self._specs, name: (dtype, shape, fill)}, grown

    def clear(self, row: int) -> None:
        """Give a row its fill values again."""
        for name, (_, _, fill) in self._specs.items():
            self._arrays[name][row] = fill

    def copy(self) -> Columns:
        """Independent storage with the same content."""
        copied = Columns(0, **self._specs)
        copied.capacity = self.capacity
        copied._arrays = {name: array.copy() for name, array in self._arrays.items()}
        return copied
