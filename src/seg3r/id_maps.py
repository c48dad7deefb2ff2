"""Frames cut into disjoint masks, and the folders that hold them as PNG."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor

from seg3r.errors import InputError
from seg3r.reading import read_pixels, reading
from seg3r.text import clean_name
from seg3r.types import TensorFields

LARGEST_ID = 1 << 31
DEPTH_NUMBERS, DEPTH_CHANGES, DEPTH_STEP = 20, 0.2, 0.05
"""A map of so many numbers, of which neighbours differ so often, mostly by so small a share, is one of depth."""


@dataclass(frozen=True, eq=False)
class IdMap(TensorFields):
    """One frame cut into disjoint masks."""

    ids: Int[Tensor, "H W"]
    """0 = none."""
    origin: str
    """What an error should name: a path, or the frame."""
    names: Mapping[int, str | None] = field(default_factory=dict)
    """Of some ids."""
    scores: Mapping[int, float] = field(default_factory=dict)
    """In 0..1; an id without one counts as 1."""


def folder_reader(
    folder: str | Path, stem: Callable[[int], str] = "{:05d}".format
) -> Callable[[int], IdMap | None]:
    """Reader of `<folder>/<stem(index)>.png` (one channel, integer ids) and, where it lies beside it, `.json`.

    The JSON holds `[{"id": 3, "label": "chair", "score": 0.9, ...}, ...]`; ids it does not list have no name, score 1.

    Raises:
        InputError: no such folder, no PNG in it; later: a file that is no id map, or JSON of another shape.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of id maps")
    if next(folder.glob("*.png"), None) is None:
        raise InputError(f"{folder}: no id maps here (expected files such as {stem(0)}.png)")

    def read(index: int) -> IdMap | None:
        path = folder / f"{stem(index)}.png"
        if not path.is_file():
            return None
        names, scores = _read_notes(path.with_suffix(".json"))
        return IdMap(_read_ids(path), str(path), names, scores)

    return read


def _read_ids(path: Path) -> Tensor:
    with reading(path, "an id map"):
        ids = read_pixels(path)
    if ids.ndim != 2 or ids.dtype.kind not in "iub":
        shape = "x".join(str(n) for n in ids.shape)
        raise InputError(f"{path}: an id map has one channel of integers, this holds {ids.dtype} {shape}")
    if looks_like_depth(ids):
        raise InputError(f"{path}: looks like a depth map (its numbers change from pixel to pixel), not like an id map")
    return torch.from_numpy(ids.astype(np.int32))


def looks_like_depth(ids: Integer[np.ndarray, "H W"] | Bool[np.ndarray, "H W"]) -> bool:
    """More than 8 bits, many numbers, and neighbours that differ by little as often as masks never border."""
    if ids.dtype.itemsize < 2:
        return False
    left, right = ids[:, :-1].astype(np.int64), ids[:, 1:].astype(np.int64)
    both = (left > 0) & (right > 0)
    apart = np.abs(right - left)[both]
    changes = apart[apart > 0]
    if len(changes) <= DEPTH_CHANGES * len(apart):
        return False
    gentle = changes <= DEPTH_STEP * np.minimum(left, right)[both][apart > 0]
    return bool(np.mean(gentle) > 0.5) and len(np.unique(ids)) > DEPTH_NUMBERS


def _read_notes(path: Path) -> tuple[dict[int, str | None], dict[int, float]]:
    if not path.is_file():
        return {}, {}
    with reading(path, "notes on masks", 'expected [{"id": 1, "label": "chair", "score": 0.9}, ...]'):
        entries = json.loads(path.read_text(encoding="utf-8"))
        names = {int(e["id"]): None if e.get("label") is None else clean_name(str(e["label"])) for e in entries}
        scores = {int(e["id"]): float(e.get("score", 1.0)) for e in entries}
        if not all(abs(i) < LARGEST_ID for i in scores):
            raise ValueError(f"an id of {LARGEST_ID} or more")
    for i, score in scores.items():
        if not 0.0 <= score <= 1.0:
            raise InputError(f"{path}: the score of id {i} is {score}; scores lie in 0..1")
    return names, scores
