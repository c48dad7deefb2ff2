"""Listing a folder: which files make which frame. Nothing is read here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from seg3r.reading import open_image
from seg3r.sources.read import depth_numbers, pose_file, scale_file
from seg3r.sources.recording import ASSUMED_FPS


@dataclass(frozen=True)
class Shot:
    """One moment as the layout lists it: how to read it, nothing read yet."""

    index: int
    stem: str
    time_s: float
    rgb: Callable[[], Image.Image] | None = None
    """Opens the colour image."""
    depth: Callable[[], npt.NDArray[Any]] | None = None
    """Numbers of the depth map [H W], in the file's unit."""
    pose: Callable[[], npt.NDArray[np.float64]] | None = None
    """T_world_cam [4 4] of the colour camera."""
    problem: str | None = None
    """Why it cannot be a frame, where the listing already says so."""
    K: Callable[[], npt.NDArray[np.float64]] | None = None
    """Of this colour image, where the camera focuses as it goes; for recordings whose depth is registered to colour."""


def files(folder: Path, suffixes: Iterable[str], start: str = "", end: str = "") -> dict[str, Path]:
    """Stem -> path of the files in a folder, in natural order (2 before 10); hidden ones left out.

    Args:
        folder: searched itself, not below.
        suffixes: lower case, with the dot.
        start: what stems begin with.
        end: what they end with, cut off the key ("frame-000001.color" -> "frame-000001").
    """
    allowed = set(suffixes)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda p: _natural(p.name)):
        stem = path.stem
        fits = stem.startswith(start) and stem.endswith(end) and not stem.startswith(".")
        if fits and path.suffix.lower() in allowed and path.is_file():
            found.setdefault(stem[: len(stem) - len(end)], path)
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def numbered(stems: Sequence[str]) -> list[int]:
    """The number in each name ("00012", "frame-000012"), or the positions where names hold no number of their own."""
    matches = [re.fullmatch(r"\D*(\d{1,18})", stem) for stem in stems]
    numbers = [int(m.group(1)) for m in matches if m]
    return numbers if len(set(numbers)) == len(stems) else list(range(len(stems)))


def pair(
    colors: Mapping[str, Path],
    depths: Mapping[str, Path],
    poses: Mapping[str, Callable[[], npt.NDArray[np.float64]]],
) -> list[Shot]:
    """Shots from files that share a key; what lacks a part is listed with its problem."""
    keys = sorted({*colors, *depths}, key=_natural)
    shots = []
    for index, key in zip(numbered(keys), keys, strict=True):
        absent = [what for what, there in (("colour", colors), ("depth", depths), ("pose", poses)) if key not in there]
        shots.append(
            Shot(
                index, key, index / ASSUMED_FPS,
                partial(open_image, colors[key]) if key in colors else None,
                partial(depth_numbers, depths[key]) if key in depths else None,
                poses.get(key), f"{absent[0]} missing" if absent else None,
            )
        )
    return shots


def pose_files(folder: Path, end: str = "") -> dict[str, Callable[[], npt.NDArray[np.float64]]]:
    """Stem -> reader of the pose files in a folder."""
    return {stem: partial(pose_file, path) for stem, path in files(folder, {".txt"}, end=end).items()}


def stated_scale(folder: Path, default: float | None) -> float | None:
    """What `depth_scale.txt` says, else the layout's own."""
    path = folder / "depth_scale.txt"
    return scale_file(path) if path.is_file() else default
