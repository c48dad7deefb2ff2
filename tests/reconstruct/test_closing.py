"""Loops on a made-up walk: a lap round a room, whose second sight of the start slid by a known similarity."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from seg3r.reconstruct import closing
from seg3r.reconstruct.closing import GAP, LEAST, bend, carried_pose, close, find_loop, one_to_one, rename
from seg3r.reconstruct.features import Features
from seg3r.reconstruct.point_map import PointMap, PoseKeyframe
from seg3r.reconstruct.pose import centre, distance
from tests.reconstruct.made_up import FOCAL, LAP, SLID, camera, slid, walk


def pixels(known: PointMap, keyframe: PoseKeyframe) -> np.ndarray:
    rows = keyframe.point >= 0
    local = known.points[keyframe.point[rows]] @ keyframe.T_cam_world[:3, :3].T + keyframe.T_cam_world[:3, 3]
    return np.asarray(FOCAL * local[:, :2] / local[:, 2:])


def test_a_place_seen_again_tells_the_similarity() -> None:
    loop = find_loop(slid(walk(), 40))
    assert loop is not None and loop.slid and loop.keyframe < 8
    np.testing.assert_allclose(loop.S, SLID, atol=5e-3)


def test_closing_puts_the_newest_keyframes_where_they_are_and_leaves_the_first() -> None:
    known = slid(walk(), 40)
    loop = find_loop(known)
    assert loop is not None
    assert distance(known.keyframes[-1].T_cam_world, camera(LAP + 3)) > 0.1
    close(known, loop)
    assert np.array_equal(known.keyframes[0].T_cam_world, camera(0))
    for step in (1, 20, 39, 41, 50, LAP, LAP + 3):
        assert distance(known.keyframes[step].T_cam_world, camera(step)) < 0.01, step
    now, then = known.keyframes[-1], known.keyframes[loop.keyframe]
    assert len(np.intersect1d(now.point[now.point >= 0], then.point)) > 40


def test_a_long_loop_is_not_adjusted_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    known = slid(walk(), 40)
    loop = find_loop(known)
    assert loop is not None
    monkeypatch.setattr(closing, "AT_ONCE", 20)
    early = [k.T_cam_world.copy() for k in known.keyframes[:44]]
    bent = [k.T_cam_world.copy() for k in bent_copy(known, loop.keyframe, loop.S)[:44]]
    close(known, loop)
    assert all(np.array_equal(k.T_cam_world, T) for k, T in zip(known.keyframes[:44], bent, strict=True))
    assert not np.array_equal(early[43], bent[43])
    assert distance(known.keyframes[-1].T_cam_world, camera(LAP + 3)) < 0.02


def bent_copy(known: PointMap, first: int, S: np.ndarray) -> list[PoseKeyframe]:
    copy = PointMap(known.focal, False, [dataclasses.replace(k) for k in known.keyframes], known.points.copy())
    bend(copy, first, S)
    return copy.keyframes


def test_the_newest_keyframe_hangs_on_all_older_points_it_sees_and_on_each_once() -> None:
    known = slid(walk(), 40)
    latest = known.keyframes[-1]
    nameless = np.arange(len(latest.point)) % 2 == 0
    latest.point[nameless] = -1
    loop = find_loop(known)
    assert loop is not None
    close(known, loop)
    older = np.unique(np.concatenate([k.point for k in known.keyframes[:10]]))
    hangs = np.isin(latest.point, older[older >= 0])
    assert (hangs & nameless).sum() > 40 and (hangs & ~nameless).sum() > 40
    names = latest.point[latest.point >= 0]
    assert len(np.unique(names)) == len(names)


def test_pairs_are_one_to_one() -> None:
    feature, point = np.array((0, 0, 1, 2, 3)), np.array((7, 8, 7, 9, 5))
    kept_feature, kept_point, depth = one_to_one(feature, point, np.arange(5.0))
    assert kept_feature.tolist() == [0, 2, 3] and kept_point.tolist() == [7, 9, 5] and depth.tolist() == [0, 3, 4]


def test_without_a_slide_names_are_joined_and_nothing_moves() -> None:
    known = walk()
    loop = find_loop(known)
    assert loop is not None and not loop.slid
    poses = [k.T_cam_world.copy() for k in known.keyframes]
    close(known, loop)
    assert all(np.array_equal(k.T_cam_world, T) for k, T in zip(known.keyframes, poses, strict=True))
    assert find_loop(known) is None  # they have one name now


def test_no_loop_before_the_place_is_seen_again() -> None:
    assert find_loop(walk(GAP)) is None and find_loop(walk(45)) is None


def test_no_loop_by_look_alikes_in_one_spot() -> None:
    known = walk(count=8000)
    latest = known.keyframes[-1]
    spot = np.abs(latest.features.pixels).max(1) < 60
    assert find_loop(known) is not None and spot.sum() > LEAST + 10
    other = np.random.default_rng(5).normal(size=latest.features.descriptors.shape).astype(np.float32)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    descriptors = np.where(spot[:, None], latest.features.descriptors, other)
    known.keyframes[-1] = dataclasses.replace(latest, features=Features(latest.features.pixels, descriptors))
    assert find_loop(known) is None


def test_a_camera_moved_with_its_world_sees_the_same() -> None:
    known = walk(2)
    before = pixels(known, known.keyframes[1])
    known.points = known.points @ SLID[:3, :3].T + SLID[:3, 3]
    known.keyframes[1].T_cam_world = carried_pose(known.keyframes[1].T_cam_world, SLID)
    np.testing.assert_allclose(pixels(known, known.keyframes[1]), before, atol=1e-8)


def test_bending_carries_the_newest_wholly_and_the_weak_link_most() -> None:
    known = walk(40)
    for keyframe in known.keyframes[20:]:  # two points hold the halves together
        shared = np.flatnonzero(np.isin(keyframe.point, known.keyframes[19].point))
        keyframe.point[shared[2:]] = -1
    poses = [k.T_cam_world.copy() for k in known.keyframes]
    bend(known, 10, SLID)
    moved = [distance(k.T_cam_world, T_cam_world) for k, T_cam_world in zip(known.keyframes, poses, strict=True)]
    assert max(moved[:11]) == 0
    np.testing.assert_allclose(known.keyframes[-1].T_cam_world, carried_pose(poses[-1], SLID), atol=1e-9)
    whole = [distance(carried_pose(T_cam_world, SLID), T_cam_world) for T_cam_world in poses]
    assert max(moved[11:20]) < 0.2 * max(whole) and moved[20] > 0.7 * whole[20]


def test_a_renamed_point_is_one_in_every_keyframe_and_is_not_found_by_its_old_descriptor() -> None:
    known = walk(3)
    first, second = known.keyframes[0], known.keyframes[1]
    newer = int(first.point.max())
    older = int(first.point.min())
    rename(known, np.array(((newer, older),)))
    assert (first.point == newer).sum() == 0 and (first.point == older).sum() == 1
    assert (second.point == newer).sum() == 0
    assert not known.descriptors[newer].any() and known.descriptors[older].any()


def test_names_given_up_one_after_the_other_end_at_the_oldest() -> None:
    known = walk(3)
    rename(known, np.array(((5, 3), (3, 1))))
    assert not any(np.isin(k.point, (3, 5)).any() for k in known.keyframes)


@pytest.mark.parametrize("step", [0, 17, 59])
def test_the_made_up_cameras_stand_on_their_circle(step: int) -> None:
    assert np.hypot(*centre(camera(step))[[0, 2]]) == pytest.approx(0.8)
