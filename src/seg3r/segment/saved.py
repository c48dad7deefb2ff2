"""Masks made earlier: id maps beside a recording, or the truth of a recording that has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seg3r.errors import InputError
from seg3r.id_maps import IdMap
from seg3r.types import Masks, View

ASPECT_TOLERANCE = 0.01


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
