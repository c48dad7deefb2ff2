"""Depth, steps and drift of walks whose errors are known; the pose head in the pass of the solver."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

import reconstruction
from reconstruction import ROWS, Seen, drifts, measured, moved, walk
from seg3r.presets import Bundled
from seg3r.sources.rooms import RoomsSource


def line(n: int, step: float = 0.1) -> np.ndarray:
    """Along a gentle bend, turning."""
    poses = np.tile(np.eye(4), (n, 1, 1))
    a = np.arange(n) * 0.05
    poses[:, 0, 0] = poses[:, 1, 1] = np.cos(a)
    poses[:, 1, 0], poses[:, 0, 1] = np.sin(a), -np.sin(a)
    poses[:, 0, 3], poses[:, 1, 3] = step / 0.05 * np.sin(a), step / 0.05 * (1 - np.cos(a))
    return poses


def seen(depth: float, truth: float = 2.0) -> object:
    return Seen(np.full((4, 4), depth, np.float32), np.ones((4, 4), bool), np.full((4, 4), truth, np.float32))


def test_another_unit_is_no_error() -> None:
    true = line(40)
    own = true.copy()
    own[:, :3, 3] *= 0.25
    figures = measured(dict(enumerate(own)), {i: seen(0.5) for i in range(40)}, true, (16, 60))
    assert figures["scale"] == pytest.approx(4)
    for name in ("absrel", "absrel_median", "ate_m", "rpe_share", "rpe_cm", "drift_16"):
        assert figures[name] == pytest.approx(0, abs=1e-6)
    assert figures["rpe_deg"] == pytest.approx(0, abs=1e-4)
    assert np.isnan(figures["drift_60"]), "no frame lies so far from another"
    assert figures["coverage"] == figures["registered"] == 1


def test_depth_and_trajectory_have_scales_of_their_own() -> None:
    figures = measured(dict(enumerate(line(10))), {i: seen(1.0) for i in range(10)}, line(10), ())
    assert figures["absrel"] == pytest.approx(0.5)
    assert figures["absrel_median"] == pytest.approx(0, abs=1e-6)


def test_drift_is_a_share_of_the_path_and_gaps_do_not_count() -> None:
    true = np.tile(np.eye(4), (50, 1, 1))
    true[:, 0, 3] = 0.1 * np.arange(50)
    own = {i: true[i].copy() for i in range(50) if not 20 <= i < 30}
    for pose in own.values():
        pose[:3, 3] *= 1.1
    assert drifts(own, true, 1.0, (16,))["drift_16"] == pytest.approx(0.1)
    (off, turned), path = moved(own, true, 1, 1.0)
    assert len(off) == 38, "no step into the gap or out of it"
    assert off == pytest.approx(0.01)
    assert turned == pytest.approx(0)
    assert path == pytest.approx(0.1)


def test_the_head_is_heard_while_the_solver_gives_the_pose() -> None:
    room = RoomsSource(3, frames=3, size=(60, 80), depth="clean", keep=True)
    said = walk(Bundled().cut3r(), ROWS["cut3r"], room, True, lambda _: None)
    head = Bundled().cut3r(pose="head")
    for frame in room:
        own = head(frame)[0]
        assert np.array_equal(said.poses["cut3r, head"][frame.index], own.camera.T_world_cam.numpy())
    assert not np.array_equal(said.poses["cut3r, head"][2], said.poses["cut3r, solver"][2])


def test_the_true_geometry_is_flawless_and_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = argparse.Namespace(
        split="train", seeds=1, rooms=1, frames=18, size=(60, 80), only=("sensor",), quick=False, fresh=False,
        json=tmp_path / "table.json",
    )
    row, = reconstruction.measure(args)
    assert row["absrel"] == pytest.approx(0, abs=1e-5)
    assert row["drift_16"] == pytest.approx(0, abs=1e-5)
    assert row["std"]["drift_16"] == 0
    monkeypatch.delattr(reconstruction, "walk")
    assert reconstruction.measure(args) == [row]
