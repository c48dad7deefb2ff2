"""Frame by frame: what blur may not do, and what a closed loop changes."""

from __future__ import annotations

import cv2
import numpy as np

from seg3r.reconstruct.point_map import PointMap
from seg3r.reconstruct.pose import distance
from seg3r.reconstruct.tracking import Tracker, _Recent
from seg3r.sources.rooms import RoomsSource
from tests.reconstruct.made_up import LAP, camera, slid, walk

SOURCE = RoomsSource(31, frames=10, size=(180, 240), depth="clean")


def test_points_are_followed_where_blur_leaves_nothing_to_detect() -> None:
    tracker = Tracker(PointMap(float(SOURCE.cameras[0].K[0, 0])), (119.5, 89.5))
    known = []
    for index, frame in enumerate(SOURCE):
        gray = cv2.cvtColor(frame.rgb.numpy(), cv2.COLOR_RGB2GRAY).astype(np.uint8)
        blurred = cv2.GaussianBlur(gray, (0, 0), 0.6 * (index - 4)) if index > 4 else gray
        found = tracker(index, blurred.astype(np.uint8))
        known.append(len(found[index].depth) if index in found else 0)
    assert min(known[5:]) > 25 and [event.kind for event in tracker.events] == ["started"]


def test_a_closed_loop_puts_the_last_frames_right_and_says_so() -> None:
    tracker = Tracker(slid(walk(), 40), (0.0, 0.0))
    keyframes = tracker.map.keyframes
    newest = len(keyframes) - 1
    for k in keyframes[-5:]:
        sees = k.point >= 0
        tracker._recent[k.index] = _Recent(k.T_cam_world.copy(), k.features.pixels[sees], k.point[sees])
    before = {i: float(np.median(tracker._tracked(recent).depth)) for i, recent in tracker._recent.items()}
    tracker._recent[1000] = tracker._recent[newest]  # as if it were no keyframe
    tracker._steps = [1.0]
    assert tracker._close(newest) and distance(keyframes[-1].T_cam_world, camera(LAP + 3)) < 0.01
    tracker._pose_again()
    for index, recent in tracker._recent.items():
        T_cam_world, depth = tracker._tracked(recent)
        assert distance(T_cam_world, camera(min(index, newest))) < 0.02
        slid_depth = before[min(index, newest)]
        np.testing.assert_allclose(np.median(depth), 0.8 * slid_depth, rtol=0.02)
    np.testing.assert_allclose(tracker._steps, 0.8, rtol=0.02)
    (event,) = tracker.events
    assert event.kind == "closed" and event.frame_index == newest and "scale was off by +25 %" in event.text


def test_where_nothing_slid_nothing_is_given_anew() -> None:
    tracker = Tracker(walk(), (0.0, 0.0))
    before = [k.T_cam_world.copy() for k in tracker.map.keyframes]
    assert not tracker._close(LAP + 3) and not tracker.events
    assert all(np.array_equal(k.T_cam_world, T) for k, T in zip(tracker.map.keyframes, before, strict=True))


def test_last_frames_are_told_again_and_no_more_than_asked_for() -> None:
    tracker = Tracker(PointMap(float(SOURCE.cameras[0].K[0, 0])), (119.5, 89.5), remembered=4)
    given = [tracker(i, cv2.cvtColor(f.rgb.numpy(), cv2.COLOR_RGB2GRAY).astype(np.uint8)) for i, f in enumerate(SOURCE)]
    assert tracker.started and list(given[-1]) == [6, 7, 8, 9]
    assert {k.index: k.T_cam_world.tolist() for k in tracker.map.keyframes}[8] == given[-1][8].T_cam_world.tolist()


def test_a_focal_length_that_changes_poses_all_remembered_frames_anew() -> None:
    true = float(SOURCE.cameras[0].K[0, 0])
    tracker = Tracker(PointMap(1.15 * true, find_focal=True), (119.5, 89.5))
    for index, frame in enumerate(SOURCE):
        given = tracker(index, cv2.cvtColor(frame.rgb.numpy(), cv2.COLOR_RGB2GRAY).astype(np.uint8))
    assert tracker.turns > 0 and abs(tracker.map.focal / true - 1) < 0.1
    assert set(given) == set(range(10)) and not tracker.map.settled
