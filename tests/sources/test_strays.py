"""Poses that jump: the wild ones go, whichever they are; no sane recording loses a frame."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from seg3r.errors import InputError
from seg3r.sources import open_source
from seg3r.sources.check import JUMP_M, strays
from tests.sources import layouts

REASON = "pose more than 1 km off"


def walk(count: int, step_m: float, seed: int = 0) -> np.ndarray:
    """A camera that goes so far between frames, along the axes by turns."""
    rng = np.random.default_rng(seed)
    steps = np.zeros((count, 3))
    steps[np.arange(count), rng.integers(0, 3, count)] = rng.choice([-1, 1], count) * step_m
    return np.cumsum(steps, axis=0)


@pytest.mark.parametrize("step_m", [0.0, 0.02, 30.0, 0.999 * JUMP_M])
@pytest.mark.parametrize("start", [(0, 0, 0), (5e5, 5.4e6, 100), (1e12, 0, 0)])
def test_no_sane_recording_loses_a_frame(step_m: float, start: tuple[float, float, float]) -> None:
    assert not strays(walk(500, step_m) + start).any()


def test_a_long_walk_that_comes_back_loses_nothing() -> None:
    """Places far from one another are no jump."""
    there = np.linspace((0, 0, 0), (50_000, 0, 0), 200)
    assert not strays(np.concatenate((there, there[::-1]))).any()


@pytest.mark.parametrize("wild", [2e3, 1e12, 1e20, 1e300, -1.7e308])
@pytest.mark.parametrize("which", [[0], [7], [19], [0, 1, 2], [0, 5, 6, 7, 19], [3, 4], list(range(9))])
def test_the_wild_ones_go(wild: float, which: list[int]) -> None:
    positions = walk(20, 0.1)
    positions[which] += wild
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.flatnonzero(strays(positions)).tolist() == which


def test_each_somewhere_else() -> None:
    rng = np.random.default_rng(0)
    positions, which = walk(300, 0.1), rng.permutation(300)[:280]
    positions[which] = rng.normal(size=(280, 3)) * 1e9
    assert set(np.flatnonzero(strays(positions))) == set(which)


def test_few_and_none() -> None:
    assert strays(np.empty((0, 3))).tolist() == []
    assert strays(np.full((1, 3), 1e20)).tolist() == [False]
    assert strays(np.array([[0.0, 0, 0], [1e12, 0, 0]])).tolist() == [False, True], "of two nobody can tell: the first"


@pytest.mark.parametrize("layout", sorted(layouts.WRITERS))
@pytest.mark.parametrize("which", [0, 2])
def test_every_layout_leaves_them_out_and_counts_them(layout: str, which: int, tmp_path: Path) -> None:
    frames = layouts.moments(5)
    frames[which].pose[:3, 3] = (1e12, 5.0, -3.0)
    source = open_source(layouts.WRITERS[layout](tmp_path, frames))
    positions = [source.position(frame.index) for frame in source]
    assert positions == [n for n in range(5) if n != which]
    assert source.skipped == {REASON: 1}
    told = source.describe()
    assert told["skipped"] == {REASON: 1} and told["path_m"] < 20
    assert [source.position(f.index) for f in source.iterate(3)] == [3, 4]
    assert source.skipped == {}


def test_a_recording_far_away_keeps_all(tmp_path: Path) -> None:
    frames = layouts.moments(4)
    for moment in frames:
        moment.pose[:3, 3] += (5e5, 5.4e6, 100)
    source = open_source(layouts.write_rgbd_folder(tmp_path, frames))
    assert len(list(source)) == 4 and not source.skipped


def test_beside_frames_that_have_no_pose(tmp_path: Path) -> None:
    frames = layouts.moments(6)
    frames[0].pose[:3, 3] = 1e20
    frames[1].pose[:] = np.nan
    source = open_source(layouts.write_rgbd_folder(tmp_path, frames))
    assert [f.index for f in source] == [2, 3, 4, 5]
    assert source.skipped == {REASON: 1, "pose is not finite": 1}


def test_where_only_the_wild_one_can_be_read(tmp_path: Path) -> None:
    frames = layouts.moments(3)
    frames[1].pose[:3, 3] = 1e20
    root = layouts.write_rgbd_folder(tmp_path, frames)
    for n in (0, 2):
        (root / "color" / f"{n:05d}.png").write_bytes(b"?")
    with pytest.raises(InputError, match=r"none of its 3 frames can be used: colour unreadable \(2\), pose more than"):
        list(open_source(root))


def test_places_are_whole_micrometres_and_decimals_stay(tmp_path: Path) -> None:
    frames = layouts.moments(3)
    frames[0].pose[:3, 3] = (-1.94312, 1.123439999999998606, 4.679990)
    root = layouts.write_rgbd_folder(tmp_path, frames)
    first, second, _ = (f.camera.T_world_cam[:3, 3].numpy() for f in open_source(root) if f.camera is not None)
    assert first.tolist() == [-1.94312, 1.12344, 4.67999]
    assert np.abs(second - frames[1].pose[:3, 3]).max() < 0.6e-6
    assert (second == np.round(second, 6)).all()
