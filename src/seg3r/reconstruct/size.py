"""One video, one size."""

from __future__ import annotations

from seg3r.errors import InputError
from seg3r.types import Frame


def checked_size(frame: Frame, before: tuple[int, int] | None) -> tuple[int, int]:
    """(H, W) of a frame.

    Args:
        before: that of the frames before; None: it is the first.
    Raises:
        InputError: it has another.
    """
    H, W = frame.rgb.shape[:2]
    if before is not None and before != (H, W):
        raise InputError(
            f"frame {frame.index} is {W}x{H}, those before it {before[1]}x{before[0]}: one video, one size"
        )
    return H, W
