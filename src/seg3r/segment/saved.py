"""Masks made earlier: id maps beside a recording, or the truth of a recording that has one."""

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
from seg3r.types import Masks, TensorFields, View

ASPECT_TOLERANCE = 0.01
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


@dataclass
class SavedMasks:
    """View -> Masks by looking them up: one mask per id of the frame's id map, ascending.

    A map of another size is resampled to the frame (nearest) if the aspect ratios agree within 1 %. A frame without
    a map has no masks.

    Raises:
        InputError: other aspect ratio, negative ids, or so many ids that the file is hardly an id map.
    """

    read: Callable[[int], IdMap | None]
    """Frame index -> id map, or None where there is none."""
    max_ids: int = 1000
    """More ids than this in one frame: probably a depth map or a photograph."""
    frames_without_map: int = field(default=0, init=False)
    """How often `read` had nothing so far."""

    def __call__(self, view: View) -> Masks:
        H, W = view.depth.shape
        id_map = self.read(view.frame.index)
        if id_map is None:
            self.frames_without_map += 1
            return Masks(view.depth.new_zeros((0, H, W), dtype=torch.bool), view.depth.new_zeros(0), names=())
        ids = _resampled(id_map, (H, W)).to(view.depth.device)
        present = torch.unique(ids)
        if present.numel() and int(present[0]) < 0:
            raise InputError(f"{id_map.origin}: id {int(present[0])} is negative; 0 means none, masks count from 1")
        present = present[present > 0]
        if present.numel() > self.max_ids:
            raise InputError(f"{id_map.origin}: {present.numel()} different ids in one frame; is this an id map?")
        listed = [int(i) for i in present]
        scores = torch.tensor([id_map.scores.get(i, 1.0) for i in listed], dtype=torch.float32, device=ids.device)
        names = tuple(id_map.names.get(i) for i in listed)
        return Masks(ids[None] == present[:, None, None], scores, names=names)


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


def _resampled(id_map: IdMap, size: tuple[int, int]) -> Tensor:
    """Nearest, pixel centres at integers plus a half."""
    have = (id_map.ids.shape[0], id_map.ids.shape[1])
    if have == size:
        return id_map.ids
    if 0 in have or abs(have[1] * size[0] / (have[0] * size[1]) - 1.0) > ASPECT_TOLERANCE:
        raise InputError(
            f"{id_map.origin}: the id map is {have[1]}x{have[0]}, the frame {size[1]}x{size[0]}: "
            "another aspect ratio; make the id maps from the same images"
        )
    rows, columns = (
        ((torch.arange(n, dtype=torch.float64) + 0.5) * (m / n)).long().clamp_max(m - 1)
        for n, m in zip(size, have, strict=True)
    )
    return id_map.ids[rows.to(id_map.ids.device)][:, columns.to(id_map.ids.device)]
