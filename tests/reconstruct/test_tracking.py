"""Frame by frame: what blur may not do, and what a closed loop changes."""

from __future__ import annotations

import cv2
import numpy as np

from seg3r.reconstruct.point_map import PointMap
from seg3r.reconstruct.pose import distance
from seg3r.reconstruct.tracking import RECENT, Tracked, Tracker
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
    tracker._recent = {k.index: Tracked(k.pose.copy(), np.full(3, 2.0)) for k in keyframes[-5:]}
    tracker._recent[1000] = Tracked(keyframes[-1].pose.copy(), np.full(3, 2.0))  # no keyframe
    tracker._steps = [1.0]
    loop = tracker._close(newest)
    assert loop is not None and distance(keyframes[-1].pose, camera(LAP + 3)) < 0.01
    for index, (pose, depth) in tracker._recent.items():
        assert distance(pose, camera(min(index, newest))) < 0.02
        np.testing.assert_allclose(depth, 2.0 * 0.8, rtol=0.02)
    np.testing.assert_allclose(tracker._steps, 0.8, rtol=0.02)
    (event,) = tracker.events
    assert event.kind == "closed" and event.frame_index == newest and "scale was off by +25 %" in event.text


def test_where_nothing_slid_nothing_is_given_anew() -> None:
    tracker = Tracker(walk(), (0.0, 0.0))
    before = [k.pose.copy() for k in tracker.map.keyframes]
    assert tracker._close(LAP + 3) is None and not tracker.events
    assert all(np.array_equal(k.pose, pose) for k, pose in zip(tracker.map.keyframes, before, strict=True))


def test_no_more_frames_are_kept_than_may_be_given_anew() -> None:
    tracker = Tracker(PointMap(float(SOURCE.cameras[0].K[0, 0])), (119.5, 89.5))
    gray = [cv2.cvtColor(f.rgb.numpy(), cv2.COLOR_RGB2GRAY).astype(np.uint8) for f in SOURCE]
    for index in range(24):  # to and fro
        tracker(index, gray[9 - abs(9 - index % 18)])
    assert tracker.started and len(tracker._recent) == RECENT
