"""What every source offers beyond being iterable: where it lies, how it counts, what it had to leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from seg3r.errors import InputError
from seg3r.types import Frame

ASSUMED_FPS = 30.0
"""For recordings that store no times: their own frame number divided by this is the time."""


@runtime_checkable
class Recording(Protocol):
    """A source that can say where it is. Positions count the frames left by the stride, skipped ones included."""

    kind: str
    name: str
    every: int
    """Stride over the recording's own list of frames."""
    skipped: Counter[str]
    """Reason -> frames left out since the current iteration began."""

    @property
    def root(self) -> Path | None:
        """Folder in which things made from the recording (masks) lie; None = there is no such folder."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def iterate(self, start: int = 0) -> Iterator[Frame]:
        """From position `start` on; earlier frames are not decoded where the recording allows it."""
        ...

    def position(self, frame_index: int) -> int:
        """Where `Frame.index` stands: to resume after a frame, `iterate(position(frame.index) + 1)`."""
        ...

    def stem(self, frame_index: int) -> str:
        """Name, without suffix, of the files made from this frame."""
        ...

    def describe(self) -> dict[str, object]:
        """What `seg3r info` prints. Sizes are (H, W), lengths metres."""
        ...


def check_stride(every: int) -> int:
    """The stride, if it is one."""
    if every < 1:
        raise InputError(f"every={every}: the stride over frames counts from 1")
    return every


def mask_folders(root: Path | None) -> dict[str, int]:
    """Folders `masks*` in a recording and how many id maps (PNG) each holds."""
    if root is None or not root.is_dir():
        return {}
    folders = sorted(p for p in root.iterdir() if p.is_dir() and p.name.startswith("masks"))
    return {p.name: sum(1 for _ in p.glob("*.png")) for p in folders}


def reasons(skipped: Counter[str]) -> str:
    """`depth missing (3), pose is not finite (1)`."""
    return ", ".join(f"{reason} ({count})" for reason, count in skipped.most_common())
