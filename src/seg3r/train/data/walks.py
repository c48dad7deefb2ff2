"""Walks through rooms, rendered once and stored: what a network that learns from video reads again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float16, Float64, UInt8
from safetensors import safe_open
from torch import Tensor

from seg3r.files import write_tensors
from seg3r.sources.rooms import RoomsSource

MOST_IDS = 255
"""Things of a room that a byte can tell apart; a room has some thirty."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of one walk with the truth about them."""

    rgb: UInt8[Tensor, "t H W 3"]
    depth: Float16[Tensor, "t H W"]
    """Metres, exact up to half precision; 0 = none."""
    ids: UInt8[Tensor, "t H W"]
    """Which thing of the room each pixel shows, 0 = structure."""
    poses: Float64[Tensor, "t 4 4"]
    """Camera to world."""
    K: Float64[Tensor, "3 3"]


@dataclass(frozen=True)
class Walks:
    """Rendered walks in a folder, one file each; a part of one is read without the rest."""

    folder: Path
    seeds: tuple[int, ...]
    frames: int

    def clip(self, walk: int, frames: Sequence[int]) -> Clip:
        """Some frames of the `walk`-th walk, in the order asked for."""
        with safe_open(str(self.folder / f"{self.seeds[walk]}.safetensors"), framework="np") as file:
            rgb, depth, ids = (
                torch.from_numpy(np.concatenate([file.get_slice(name)[i : i + 1] for i in frames]))
                for name in ("rgb", "depth", "ids")
            )
            poses, K = (torch.from_numpy(file.get_tensor(name)) for name in ("poses", "K"))
        return Clip(rgb, depth, ids, poses[list(frames)], K)


def render_walks(
    seeds: Sequence[int], folder: Path, frames: int = 60, size: tuple[int, int] = (144, 192),
    progress: Callable[[int, int], None] | None = None,
) -> Walks:
    """Render those that are not there yet.

    Args:
        size: (H, W).
        progress: called with (walks done, walks).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for done, seed in enumerate(seeds, 1):
        path = folder / f"{seed}.safetensors"
        if not path.is_file():
            write_tensors(path, _rendered(seed, frames, size))
        if progress is not None:
            progress(done, len(seeds))
    return Walks(folder, tuple(seeds), frames)


def _rendered(seed: int, frames: int, size: tuple[int, int]) -> dict[str, Tensor]:
    source = RoomsSource(seed, frames=frames, size=size, depth="clean")
    pictures, depths, ids = [], [], []
    for frame in source:
        assert frame.depth is not None
        pictures.append(frame.rgb)
        depths.append(frame.depth.half())
        ids.append(source.truth(frame.index)[0].long().clamp_max(MOST_IDS).to(torch.uint8))
    poses = torch.stack([camera.T_world_cam for camera in source.cameras])
    return {
        "rgb": torch.stack(pictures).contiguous(), "depth": torch.stack(depths), "ids": torch.stack(ids),
        "poses": poses, "K": source.cameras[0].K.clone(),
    }
