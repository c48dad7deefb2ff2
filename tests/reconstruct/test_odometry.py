"""A single camera, weight-free: poses and depth against the truth of a room, and what happens when nothing works."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.metrics.geometry import umeyama
from seg3r.protocols import Lags, Reconstructor
from seg3r.reconstruct.closing import carried_pose
from seg3r.reconstruct.odometry import Odometry
from seg3r.reconstruct.tracking import Tracked, Tracker
from seg3r.sources.rooms import RoomsSource
from seg3r.types import Frame, View

SOURCE = RoomsSource(31, frames=10, size=(180, 240), depth="clean", keep=True)


def views(stage: Odometry, frames: list[Frame]) -> list[View]:
    return [*(view for frame in frames for view in stage(frame)), *stage.finish()]


@cache
def frames() -> tuple[Frame, ...]:
    return tuple(SOURCE)


@cache
def known() -> tuple[Odometry, list[View]]:
    stage = Odometry(focal_px=float(SOURCE.cameras[0].K[0, 0]))
    return stage, views(stage, list(frames()))


def test_poses_and_sure_depth_are_right_up_to_one_scale() -> None:
    _, seen = known()
    assert [view.frame.index for view in seen] == list(range(10))
    own = np.array([view.camera.T_world_cam[:3, 3].numpy() for view in seen])
    true = np.array([SOURCE.cameras[view.frame.index].T_world_cam[:3, 3].numpy() for view in seen])
    similarity = umeyama(own, true)
    apart = np.linalg.norm(similarity.scale * own @ similarity.R.T + similarity.t - true, axis=1)
    assert float(np.sqrt((apart**2).mean())) < 0.09
    off, covered = [], []
    for view in seen:
        surface, sure = SOURCE.surface(view.frame.index), view.confidence > 0
        scale = (surface / view.depth)[sure].median()  # a walk of a metre tells its own scale badly
        off.append(float(((scale * view.depth - surface).abs() / surface)[sure].mean()))
        covered.append(float(sure.float().mean()))
    assert np.median(off) < 0.08 and np.mean(covered) > 0.4


def test_views_carry_nothing_that_was_measured_and_no_depth_that_is_not_sure() -> None:
    _, seen = known()
    for view in seen:
        assert view.frame.depth is None and view.frame.camera is None
        assert torch.equal(view.depth > 0, view.confidence > 0)


def test_the_lag_is_as_stated() -> None:
    stage = Odometry(focal_px=float(SOURCE.cameras[0].K[0, 0]), lag=3)
    given: list[tuple[int, int]] = []
    for frame in frames():
        given += [(frame.index, view.frame.index) for view in stage(frame)]
    assert isinstance(stage, Reconstructor) and given
    assert all(now - index >= 3 for now, index in given)
    assert max(index for _, index in given) == len(frames()) - 4


def test_the_same_seed_gives_the_same_bytes_and_reset_forgets() -> None:
    _, seen = known()
    stage = Odometry(focal_px=float(SOURCE.cameras[0].K[0, 0]))
    views(stage, list(frames())[:6])
    stage.reset()
    again = views(stage, list(frames()))
    assert len(again) == len(seen)
    for one, two in zip(seen, again, strict=True):
        assert torch.equal(one.camera.T_world_cam, two.camera.T_world_cam) and torch.equal(one.depth, two.depth)


def test_without_a_focal_length_it_still_starts() -> None:
    stage = Odometry()
    seen = views(stage, list(frames()))
    assert len(seen) > 5 and stage.events[0].kind == "started"


def test_views_wait_for_the_focal_length_but_not_for_ever() -> None:
    stage = Odometry(patience=6)
    given = [[view.frame.index for view in stage(frame)] for frame in frames()]
    assert given[:6] == [[]] * 6 and given[6:] == [[0], [1], [2], [3]]
    assert [view.frame.index for view in stage.finish()] == list(range(4, 10))


@pytest.mark.parametrize("video", ["black", "still", "one"])
def test_without_motion_there_is_no_map_and_no_error(video: str) -> None:
    first = frames()[0]
    picture = torch.zeros_like(first.rgb) if video == "black" else first.rgb
    stage = Odometry(patience=3)
    count = 1 if video == "one" else 6
    assert views(stage, [Frame(i, i / 10, picture) for i in range(count)]) == []
    assert [event.kind for event in stage.events] == ["dropped"] * (count - 3 if count > 3 else 0)


def test_how_many_frames_wait_is_told() -> None:
    stage, given = Odometry(focal_px=float(SOURCE.cameras[0].K[0, 0]), lag=3), 0
    assert isinstance(stage, Lags) and stage.waiting == 0
    for taken, frame in enumerate(frames(), 1):
        given += len(stage(frame))
        assert stage.waiting == taken - given
    assert stage.waiting == 3
    stage.finish()
    assert stage.waiting == 0


def test_at_the_end_nothing_waits_even_without_a_start() -> None:
    """Who asks for the map then has it all: there is nothing to be warned of."""
    stage = Odometry()
    for index in range(4):
        assert stage(Frame(index, index / 10, torch.zeros(48, 64, 3, dtype=torch.uint8))) == []
    assert stage.waiting == 4
    assert stage.finish() == [] and stage.waiting == 0



def test_black_frames_and_a_cut_are_told_and_give_no_view() -> None:
    stage = Odometry(focal_px=float(SOURCE.cameras[0].K[0, 0]))
    other = RoomsSource(77, frames=3, size=(180, 240), depth="clean")
    black = [Frame(20 + i, 2.0, torch.zeros_like(frames()[0].rgb)) for i in range(2)]
    cut = [dataclasses.replace(frame, index=30 + frame.index) for frame in other]
    seen = views(stage, [*frames()[:10], *black, *cut])
    assert max(view.frame.index for view in seen) < 20
    assert [event.kind for event in stage.events] == ["started", "lost"]
    assert stage.events[1].frame_index == 20


def test_a_camera_that_comes_back_is_found() -> None:
    stage = Odometry(focal_px=float(SOURCE.cameras[0].K[0, 0]))
    black = Frame(50, 5.0, torch.zeros_like(frames()[0].rgb))
    back = [dataclasses.replace(frame, index=60 + frame.index) for frame in frames()[4:8]]
    seen = views(stage, [*frames()[:10], black, *back])
    assert [event.kind for event in stage.events] == ["started", "lost", "found"]
    poses = {view.frame.index: view.camera.T_world_cam for view in seen}
    assert torch.allclose(poses[64][:3, 3], poses[4][:3, 3], atol=0.05)


def test_a_frame_of_another_size_is_named() -> None:
    stage = Odometry()
    stage(frames()[0])
    with pytest.raises(InputError, match="frame 1 is 100x90, those before it 240x180"):
        stage(Frame(1, 0.1, torch.zeros(90, 100, 3, dtype=torch.uint8)))


class Moved:
    """A tracker whose world was moved."""

    def __init__(self, tracker: Tracker, S: np.ndarray) -> None:
        self.tracker, self.S, self.turns = tracker, S, tracker.turns + 1

    def __getattr__(self, name: str) -> object:
        return getattr(self.tracker, name)

    def __call__(self, index: int, gray: np.ndarray) -> dict[int, Tracked]:
        found = self.tracker(index, gray)
        scale = float(np.cbrt(np.linalg.det(self.S[:3, :3])))
        return {i: Tracked(carried_pose(t.T_cam_world, self.S), scale * t.depth) for i, t in found.items()}


def test_after_a_closed_loop_new_views_are_in_the_moved_world_and_their_depth_in_its_scale() -> None:
    S = np.diag((0.7, 0.7, 0.7, 1.0))
    stage = Odometry(focal_px=float(SOURCE.cameras[0].K[0, 0]), lag=0)
    assert [view.frame.index for frame in frames()[:8] for view in stage(frame)] == list(range(8))
    plain = Odometry(focal_px=float(SOURCE.cameras[0].K[0, 0]), lag=0)
    (unmoved,) = [view for frame in frames()[:9] for view in plain(frame)][-1:]
    assert stage._tracker is not None
    stage._tracker = Moved(stage._tracker, S)  # type: ignore[assignment]
    (view,) = stage(frames()[8])
    place, other = (v.camera.T_world_cam[:3, 3].numpy() for v in (view, unmoved))
    np.testing.assert_allclose(place, 0.7 * other, atol=1e-6)
    both = (view.confidence > 0) & (unmoved.confidence > 0)
    assert float(both.float().mean()) > 0.3
    assert abs(float((view.depth / unmoved.depth)[both].median()) - 0.7) < 0.02
