"""Loops on a made-up walk: a lap round a room, whose second sight of the start slid by a known similarity."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from seg3r.reconstruct.closing import GAP, bend, carried, close, find_loop, rename
from seg3r.reconstruct.features import Features
from seg3r.reconstruct.point_map import Keyframe, PointMap
from seg3r.reconstruct.pose import centre, distance

FOCAL, HALF = 400.0, np.array((320.0, 240.0))
LAP = 60
SLID = np.eye(4)
SLID[:3, :3] = 0.8 * Rotation.from_rotvec((0.03, 0.15, -0.02)).as_matrix()
SLID[:3, 3] = 0.2, -0.05, 0.1


def camera(step: int) -> np.ndarray:
    """World to camera: on a circle, looking out."""
    turn = Rotation.from_rotvec((0, 2 * np.pi * step / LAP, 0)).as_matrix()
    T = np.eye(4)
    T[:3, :3] = turn.T
    T[:3, 3] = -turn.T @ (turn @ np.array((0, 0.02 * np.sin(step), 0.8)))
    return T


def walk(steps: int = LAP + 4, seed: int = 0) -> PointMap:
    """Everything true; a point has another name when it is seen again after `GAP` frames."""
    rng = np.random.default_rng(seed)
    way, up, far = rng.uniform(0, 2 * np.pi, 1500), rng.uniform(-1.2, 1.2, 1500), rng.uniform(2.5, 4.5, 1500)
    world = np.stack((far * np.sin(way), up, far * np.cos(way)), 1)
    looks = rng.normal(size=(1500, 128)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    names = np.full(1500, -1)
    last_seen = np.full(1500, -(10**6))
    origin: list[int] = []
    keyframes = []
    for step in range(steps):
        T = camera(step)
        local = world @ T[:3, :3].T + T[:3, 3]
        at = FOCAL * local[:, :2] / local[:, 2:]
        rows = np.flatnonzero((local[:, 2] > 0.1) & (np.abs(at) < HALF).all(1))
        new = rows[step - last_seen[rows] > GAP]
        names[new] = len(origin) + np.arange(len(new))
        origin += new.tolist()
        last_seen[rows] = step
        keyframes.append(Keyframe(step, T, Features(at[rows], looks[rows]), names[rows].copy()))
    return PointMap(FOCAL, False, keyframes, world[origin].copy(), looks[origin].copy())


def slid(known: PointMap, since: int) -> PointMap:
    """The same walk, all that is first seen from `since` on moved by the inverse of `SLID`."""
    back = np.linalg.inv(SLID)
    before = np.unique(np.concatenate([k.point for k in known.keyframes[:since]]))
    later = np.setdiff1d(np.arange(len(known.points)), before)
    known.points[later] = known.points[later] @ back[:3, :3].T + back[:3, 3]
    for keyframe in known.keyframes[since:]:
        keyframe.pose = carried(keyframe.pose, back)
        keyframe.point[np.isin(keyframe.point, before)] = -1  # a blurred stretch: nothing is known on both sides
    return known


def pixels(known: PointMap, keyframe: Keyframe) -> np.ndarray:
    rows = keyframe.point >= 0
    local = known.points[keyframe.point[rows]] @ keyframe.pose[:3, :3].T + keyframe.pose[:3, 3]
    return np.asarray(FOCAL * local[:, :2] / local[:, 2:])


def test_a_place_seen_again_tells_the_similarity() -> None:
    loop = find_loop(slid(walk(), 40))
    assert loop is not None and loop.slid and loop.keyframe < 8
    np.testing.assert_allclose(loop.S, SLID, atol=5e-3)


def test_closing_puts_the_newest_keyframes_where_they_are_and_leaves_the_first() -> None:
    known = slid(walk(), 40)
    loop = find_loop(known)
    assert loop is not None
    assert distance(known.keyframes[-1].pose, camera(LAP + 3)) > 0.1
    close(known, loop)
    assert np.array_equal(known.keyframes[0].pose, camera(0))
    for step in (1, 20, 39, 41, 50, LAP, LAP + 3):
        assert distance(known.keyframes[step].pose, camera(step)) < 0.01, step
    now, then = known.keyframes[-1], known.keyframes[loop.keyframe]
    assert len(np.intersect1d(now.point[now.point >= 0], then.point)) > 40


def test_without_a_slide_names_are_joined_and_nothing_moves() -> None:
    known = walk()
    loop = find_loop(known)
    assert loop is not None and not loop.slid
    poses = [k.pose.copy() for k in known.keyframes]
    close(known, loop)
    assert all(np.array_equal(k.pose, pose) for k, pose in zip(known.keyframes, poses, strict=True))
    assert find_loop(known) is None  # they have one name now


def test_no_loop_before_the_place_is_seen_again_and_none_by_look_alikes_in_one_spot() -> None:
    assert find_loop(walk(GAP)) is None and find_loop(walk(45)) is None
    known = walk()
    latest = known.keyframes[-1]
    spot = np.abs(latest.features.pixels).max(1) < 60
    other = np.random.default_rng(5).normal(size=latest.features.descriptors.shape).astype(np.float32)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    looks = np.where(spot[:, None], latest.features.descriptors, other)
    known.keyframes[-1] = dataclasses.replace(latest, features=Features(latest.features.pixels, looks))
    assert find_loop(known) is None


def test_a_camera_moved_with_its_world_sees_the_same() -> None:
    known = walk(2)
    before = pixels(known, known.keyframes[1])
    known.points = known.points @ SLID[:3, :3].T + SLID[:3, 3]
    known.keyframes[1].pose = carried(known.keyframes[1].pose, SLID)
    np.testing.assert_allclose(pixels(known, known.keyframes[1]), before, atol=1e-8)


def test_bending_carries_the_newest_wholly_and_the_weak_link_most() -> None:
    known = walk(40)
    for keyframe in known.keyframes[20:]:  # two points hold the halves together
        shared = np.flatnonzero(np.isin(keyframe.point, known.keyframes[19].point))
        keyframe.point[shared[2:]] = -1
    poses = [k.pose.copy() for k in known.keyframes]
    bend(known, 10, SLID)
    moved = [distance(k.pose, pose) for k, pose in zip(known.keyframes, poses, strict=True)]
    assert max(moved[:11]) == 0
    np.testing.assert_allclose(known.keyframes[-1].pose, carried(poses[-1], SLID), atol=1e-9)
    whole = [distance(carried(pose, SLID), pose) for pose in poses]
    assert max(moved[11:20]) < 0.2 * max(whole) and moved[20] > 0.7 * whole[20]


def test_a_renamed_point_is_one_in_every_keyframe_and_is_not_found_by_its_old_looks() -> None:
    known = walk(3)
    first, second = known.keyframes[0], known.keyframes[1]
    newer = int(first.point.max())
    older = int(first.point.min())
    rename(known, np.array(((newer, older),)))
    assert (first.point == newer).sum() == 0 and (first.point == older).sum() == 1
    assert (second.point == newer).sum() == 0
    assert not known.looks[newer].any() and known.looks[older].any()


@pytest.mark.parametrize("step", [0, 17, 59])
def test_the_made_up_cameras_stand_on_their_circle(step: int) -> None:
    assert np.hypot(*centre(camera(step))[[0, 2]]) == pytest.approx(0.8)
