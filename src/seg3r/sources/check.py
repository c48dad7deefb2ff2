"""What concerns a whole recording: intrinsics that fit the images, depth in a unit that makes rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float64

from seg3r.errors import InputError
from seg3r.types import Camera, check_camera

PLAUSIBLE_DEPTH_M = (0.1, 20.0)
"""Where the median depth of a room lies, whatever the sensor."""
TYPICAL_DEPTH_M = 2.0
"""Orders the guesses where the unit is wrong."""
JUMP_M = 1000.0
"""No camera moves so far from one frame to the next."""
ASPECT_TOLERANCE = 0.01
OFF_CENTRE = 0.2
"""Of the image: a principal point farther than this from the middle, along both axes, belongs to another size."""

_UNITS = {1.0: "metres", 100.0: "centimetres", 1000.0: "millimetres", 5000.0: "1/5000 m", 6553.5: "1/6553.5 m"}


def checked_camera(K: npt.NDArray[np.float64], size: tuple[int, int], what: str) -> Camera:
    """A camera at the origin, or an InputError that begins with `what`: unsound intrinsics, or of another size."""
    camera = Camera(torch.from_numpy(K), torch.eye(4, dtype=torch.float64), size)
    cx, cy = float(K[0, 2]), float(K[1, 2])
    x, y = cx / size[1] - 0.5, cy / size[0] - 0.5
    if np.isfinite(K).all() and min(cx, cy) > 0 and x * y > 0 and min(abs(x), abs(y)) > OFF_CENTRE:
        raise InputError(
            f"{what} have their principal point at ({cx:.1f}, {cy:.1f}) but the images are {size[1]}x{size[0]}: "
            f"K seems to be for another size (about {2 * cx:.0f}x{2 * cy:.0f}); scale K to the images"
        )
    try:
        check_camera(camera)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    return camera


def check_same_view(color_size: tuple[int, int], depth_size: tuple[int, int], origin: Path) -> None:
    """Depth without intrinsics of its own must have colour's aspect."""
    (H, W), (h, w) = color_size, depth_size
    if abs(w * H / (h * W) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"{origin}: depth is {w}x{h}, colour {W}x{H}: not one view at two sizes; "
            "give the depth's own intrinsics or register depth to colour"
        )


def check_unit(median_m: float, median_raw: float, origin: Path) -> None:
    """InputError where no room is that deep; names the units that would make one.

    Args:
        median_m: median depth as read.
        median_raw: the same in the files' unit.
        origin: what the error names.
    """
    low, high = PLAUSIBLE_DEPTH_M
    if low <= median_m <= high:
        return
    used = median_raw / median_m
    fits = {u: median_raw / u for u in _UNITS if 0.3 <= median_raw / u <= 8 and abs(u / used - 1) > 0.01}
    likely = [_UNITS[u] for u in sorted(fits, key=lambda u: abs(np.log(fits[u] / TYPICAL_DEPTH_M)))[:2]]
    guess = f"the files seem to hold {' or '.join(likely)}" if likely else "no usual unit fits"
    raise InputError(
        f"{origin}: the median depth is {median_m:.3g} m, read as {_UNITS.get(round(used, 1), f'1/{used:g} m')}: "
        f"{guess}; state how many units make a metre in depth_scale.txt"
    )


def strays(positions: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    """Cameras that stand nowhere near their neighbours in time.

    Positions are strung into tracks: each goes to the track that ended nearest by, within `JUMP_M` along every axis, or
    begins one. All but the longest (the first of equals) are stray, so that a recording without a jump loses nothing,
    and one whose first camera is the wrong one only that.
    """
    with np.errstate(over="ignore"):
        if not (np.abs(np.diff(positions, axis=0)) > JUMP_M).any():
            return np.zeros(len(positions), np.bool_)
        ends, track = np.empty_like(positions), np.empty(len(positions), np.int64)
        count = 0
        for n, position in enumerate(positions):
            apart = np.abs(ends[:count] - position).max(1, initial=0.0)
            nearest = int(apart.argmin()) if count else 0
            if not count or apart[nearest] > JUMP_M:
                nearest, count = count, count + 1
            ends[nearest], track[n] = position, nearest
    return np.asarray(track != np.bincount(track).argmax())
