"""Who says where the camera is and how far things are: reconstructors by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from seg3r.choices import Geometry
from seg3r.errors import InputError, check_choice
from seg3r.presets.preset import Preset
from seg3r.protocols import Reconstructor
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.odometry import Odometry
from seg3r.reconstruct.saved import SavedGeometry
from seg3r.reconstruct.sensor import Sensor


@dataclass(frozen=True)
class GeometryOptions:
    """What is known of a camera beforehand.

    Raises:
        InputError: a focal length or a centre that no camera has.
    """

    focal_px: float | None = None
    """Focal length (odometry)."""
    centre_px: tuple[float, float] | None = None
    """Principal point, column and row (odometry); None: the middle."""
    folder: Path | None = None
    """Where `saved` depth and poses lie."""
    stem: Callable[[int], str] | None = None
    """Frame index -> name of its files in `folder`."""
    seed: int = 0
    """Of the odometry's random samples."""

    def __post_init__(self) -> None:
        if self.focal_px is not None and not (math.isfinite(self.focal_px) and self.focal_px > 0):
            raise InputError(f"focal: {self.focal_px}; a focal length is a number of pixels above 0")
        if self.centre_px is not None and not all(map(math.isfinite, self.centre_px)):
            raise InputError(f"centre: {self.centre_px[0]} {self.centre_px[1]}; a centre is two numbers of pixels")


def reconstructor(
    name: Geometry, preset: Preset, options: GeometryOptions | None = None, tokens: bool = False
) -> Reconstructor:
    """
    Args:
        tokens: geometry that comes without tokens gets those of CUT3R.

    Raises:
        InputError: no such name, an option of another one, or weights that are not on this disk.
    """
    check_choice("reconstruct", name, get_args(Geometry))
    given = options or GeometryOptions()
    if given.folder is not None and name != "saved":
        raise InputError(f"geometry: {given.folder} belongs to reconstruct=saved, not to {name}")
    if name != "odometry" and (given.focal_px is not None or given.centre_px is not None):
        which = "focal" if given.focal_px is not None else "centre"
        raise InputError(f"{which}: the camera's numbers belong to reconstruct=odometry; {name} has its own")
    if name == "cut3r":
        return preset.cut3r()
    geometry: Reconstructor
    if name == "odometry":
        geometry = Odometry(focal_px=given.focal_px, centre_px=given.centre_px, seed=given.seed)
    elif name == "sensor":
        geometry = Sensor()
    elif given.folder is None:
        raise InputError("geometry: `saved` depth and poses lie in a folder; name it")
    else:
        geometry = SavedGeometry(given.folder) if given.stem is None else SavedGeometry(given.folder, given.stem)
    return Joined(geometry, preset.cut3r(pose="head")) if tokens else geometry
