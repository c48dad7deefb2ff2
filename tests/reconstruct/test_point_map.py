"""The map of points on a made-up world: what is found near, what is made new, what is put right, what is thrown out."""

from __future__ import annotations

import numpy as np
import pytest

from seg3r.reconstruct import point_map
from seg3r.reconstruct.bundle import Adjusted, bundle_adjust, exponential
from seg3r.reconstruct.features import Features
from seg3r.reconstruct.point_map import HELD, PointMap, PoseKeyframe
from seg3r.reconstruct.pose import distance

FOCAL = 480.0
COUNT = 200
rng = np.random.default_rng(0)
WORLD = np.stack((rng.uniform(-2, 2, COUNT), rng.uniform(-1.5, 1.5, COUNT), rng.uniform(3, 6, COUNT)), 1)
DESCRIPTORS = rng.normal(size=(COUNT, 128)).astype(np.float32)
DESCRIPTORS /= np.linalg.norm(DESCRIPTORS, axis=1, keepdims=True)


def camera(step: int) -> np.ndarray:
    return exponential(np.array((-0.15 * step, 0.02 * step, 0.0, 0.0, 0.02 * step, 0.0)))


def seen(step: int) -> Features:
    local = WORLD @ camera(step)[:3, :3].T + camera(step)[:3, 3]
    return Features(FOCAL * local[:, :2] / local[:, 2:], DESCRIPTORS)


def keyframe(step: int, known: int = COUNT) -> PoseKeyframe:
    """The first `known` features are known points."""
    return PoseKeyframe(step, camera(step), seen(step), np.where(np.arange(COUNT) < known, np.arange(COUNT), -1))


def begun(known: int = COUNT) -> PointMap:
    points = PointMap(FOCAL)
    points.begin(
        keyframe(0, known), keyframe(3, known), points=WORLD[:known].copy(), descriptors=DESCRIPTORS[:known].copy()
    )
    return points


def test_near_finds_each_point_once_within_reach_and_only_by_its_descriptor() -> None:
    known = begun()
    feature, point = known.near(camera(1), seen(1), 5.0)
    assert np.array_equal(np.sort(feature), np.arange(COUNT)) and np.array_equal(feature, point)
    shifted = Features(seen(1).pixels + np.array((6.0, 0.0)), DESCRIPTORS)
    assert len(known.near(camera(1), shifted, 5.0)[0]) == 0
    other = Features(seen(1).pixels, np.roll(DESCRIPTORS, 1, axis=0))
    assert len(known.near(camera(1), other, 5.0)[0]) == 0
    twice = Features(np.concatenate((seen(1).pixels, seen(1).pixels + 1)), np.concatenate((DESCRIPTORS, DESCRIPTORS)))
    feature, point = known.near(camera(1), twice, 5.0)
    assert len(np.unique(feature)) == len(feature) == len(np.unique(point)) == COUNT
    assert len(known.near(camera(1), Features(np.zeros((0, 2)), DESCRIPTORS[:0]), 5.0)[0]) == 0


def test_a_new_keyframe_makes_points_of_what_nobody_knew() -> None:
    known = begun(120)
    known.add(keyframe(6, 120))
    assert len(known.points) == COUNT == len(known.descriptors)
    names = known.keyframes[-1].point
    np.testing.assert_allclose(known.points[names], WORLD, atol=1e-4)
    assert sum((k.point >= 120).sum() for k in known.keyframes) == 2 * (COUNT - 120)  # one partner for each


def test_adjusting_brings_back_what_was_shaken_and_holds_the_older_still() -> None:
    known = begun()
    for step in (5, 7, 9):
        known.add(keyframe(step))
    known.points += np.random.default_rng(1).normal(0, 0.03, known.points.shape)
    for frame in known.keyframes[3:]:
        frame.T_cam_world = exponential(np.array((0.03, -0.02, 0.01, 0.004, 0.002, -0.003))) @ frame.T_cam_world
    still = [k.T_cam_world.copy() for k in known.keyframes[:3]]
    known.adjust_since(3, rounds=20)
    assert all(np.array_equal(k.T_cam_world, T) for k, T in zip(known.keyframes, still, strict=False))
    assert max(distance(k.T_cam_world, camera(k.index)) for k in known.keyframes[3:]) < 2e-3
    assert np.abs(known.points - WORLD).max() < 2e-2


def test_a_wrong_observation_leaves_its_keyframe_and_no_other() -> None:
    known = begun()
    for step in (4, 5, 7):
        known.add(keyframe(step))
    wrong = keyframe(6)
    wrong.features.pixels[17] += 40
    known.add(wrong)
    assert wrong.point[17] == -1
    assert all(k.point[17] == 17 for k in known.keyframes[:-1]) and (wrong.point >= 0).sum() == COUNT - 1


@pytest.mark.parametrize("find", [False, True])
def test_a_focal_length_is_found_where_it_is_looked_for(find: bool) -> None:
    known = PointMap(0.9 * FOCAL, find)
    known.begin(keyframe(0), keyframe(3), points=WORLD.copy(), descriptors=DESCRIPTORS.copy())
    turned = [exponential(np.array((0.1 * s, 0.05 * s, -0.3 * s, 0.03 * s, -0.05 * s, 0.04 * s))) for s in range(1, 14)]
    for n, T_cam_world in enumerate(turned):
        local = WORLD @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
        features = Features(FOCAL * local[:, :2] / local[:, 2:], DESCRIPTORS)
        known.add(PoseKeyframe(10 + n, T_cam_world, features, np.arange(COUNT)))
    assert (abs(known.focal / FOCAL - 1) < 0.02) == find


def test_a_slide_that_the_last_keyframes_cannot_see_is_mended_when_many_are_adjusted() -> None:
    """Forty keyframes see the same points; a stretch among them was put down wrong."""
    known = begun()
    for step in range(38):
        known.keyframes.append(keyframe(step))
    for frame in known.keyframes[12:26]:
        frame.T_cam_world = exponential(np.array((0.05, 0, 0.05, 0, 0, 0))) @ frame.T_cam_world
    latest = keyframe(38)
    known.keyframes = known.keyframes[:39]
    known.add(latest)  # the fortieth: all of the last eighty
    assert max(distance(k.T_cam_world, camera(k.index)) for k in known.keyframes) < 5e-3


def test_however_often_a_place_was_seen_few_keyframes_hold_still(monkeypatch: pytest.MonkeyPatch) -> None:
    known = begun()
    known.keyframes += [keyframe(step % 8) for step in range(100)]
    for frame in known.keyframes[:40]:
        frame.point[100:] = -1  # these share less
    given: list[int] = []

    def noted(poses: np.ndarray, free: np.ndarray, points: np.ndarray, **more: object) -> Adjusted:
        given.append(int((~free).sum()))
        return bundle_adjust(poses, free, points, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(point_map, "bundle_adjust", noted)
    known.adjust_since(95)
    assert given == [2 * HELD]
