"""The optional real recording."""

from __future__ import annotations

import time

import torch

from seg3r.sources import open_source
from tests.conftest import recording_dir


def test_office_folder() -> None:
    root = recording_dir("office")
    source = open_source(root)
    told = source.describe()
    assert (told["kind"], told["frames"], told["color_size"]) == ("RGB-D folder", 134, (360, 540))
    assert told["masks"] == {"masks_objects": 134, "masks_parts": 27}
    assert 10 < float(told["path_m"]) < 30  # type: ignore[arg-type]
    assert 1 < float(told["median_depth_m"]) < 4  # type: ignore[arg-type]
    frames = list(open_source(root, every=10))
    assert [f.index for f in frames][:3] == [3, 21, 39]
    assert (root / "masks_objects" / f"{source.stem(21)}.png").is_file()
    assert all(f.depth is not None and bool(torch.isfinite(f.depth).all()) for f in frames)
    assert not source.skipped


def test_office_reads_fast() -> None:
    """Well below the 33 ms of a camera; the bound is loose because the computer may be busy."""
    source = open_source(recording_dir("office"), every=5)
    start = time.perf_counter()
    count = sum(1 for _ in source)
    assert (time.perf_counter() - start) / count < 0.033


def test_office_video() -> None:
    source = open_source(recording_dir("office") / "office.mp4", every=40)
    frames = list(source)
    assert [f.index for f in frames] == [0, 40, 80, 120, 160, 200]
    assert frames[0].rgb.shape == (360, 540, 3)
    assert not source.skipped
