"""Measures of a reconstruction: exact where a similarity is all that differs, and fixtures by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from seg3r.errors import InputError
from seg3r.metrics.geometry import (
    absrel,
    ate,
    confident_share,
    drift,
    path_length,
    relative_errors,
    scale_breaks,
    umeyama,
    within,
)

F64 = npt.NDArray[np.float64]


def walk(seed: int, n: int = 40, step_m: float = 0.11) -> F64:
    """Poses of a smooth walk that turns as it goes."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum(rng.normal(0, 0.05, (n, 3)), axis=0)
    heading = np.array((1.0, 0.2, 0.1)) + np.cumsum(rng.normal(0, 0.1, (n, 3)), axis=0)
    steps = step_m * heading / np.linalg.norm(heading, axis=1, keepdims=True)
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    T[:, :3, 3] = np.cumsum(steps, axis=0)
    return T


def moved(T: F64, seed: int, scale: float) -> F64:
    """The same walk in another world, of another unit."""
    rng = np.random.default_rng(seed)
    R, t = Rotation.random(random_state=seed).as_matrix(), rng.normal(0, 3, 3)
    out = T.copy()
    out[:, :3, :3] = R @ T[:, :3, :3]
    out[:, :3, 3] = scale * T[:, :3, 3] @ R.T + t
    return out


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), scale=st.floats(0.01, 100))
def test_a_similarity_is_found_and_leaves_no_error(seed: int, scale: float) -> None:
    true = walk(seed)
    said = moved(true, seed, scale)
    error = ate(said, true)
    assert error.rmse_m < 1e-9
    assert error.similarity.scale == pytest.approx(1 / scale, rel=1e-9)
    np.testing.assert_allclose(error.similarity.R @ error.similarity.R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(error.similarity.R) == pytest.approx(1)
    steps = relative_errors(said, true, error.similarity.scale)
    assert steps.translation_m.max() < 1e-9
    assert steps.rotation_deg.max() < 1e-6
    assert drift(said, true, 10, error.similarity.scale).max() < 1e-9
    assert scale_breaks(said[:, :3, 3], true[:, :3, 3]) == []


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_the_error_does_not_depend_on_the_order_of_frames(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = walk(seed)
    said = moved(true, seed, 2.0)
    said[:, :3, 3] += rng.normal(0, 0.1, (len(said), 3))
    order = rng.permutation(len(said))
    assert ate(said[order], true[order]).rmse_m == pytest.approx(ate(said, true).rmse_m, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), noise=st.floats(1e-4, 0.05))
def test_noise_bounds_the_error(seed: int, noise: float) -> None:
    true = walk(seed, 60)
    off = np.random.default_rng(seed).normal(0, noise, (60, 3))
    said = true.copy()
    said[:, :3, 3] += off
    error = ate(said, true)
    assert error.rmse_m <= np.sqrt((off**2).sum(1).mean()) + 1e-12, "the best similarity is no worse than none"
    assert error.rmse_m >= 0.6 * noise, "seven numbers cannot explain 180"
    assert ate(said, true, with_scale=False).rmse_m >= error.rmse_m - 1e-12


def test_a_mirrored_walk_is_not_turned_inside_out() -> None:
    points = np.random.default_rng(0).normal(0, 1, (30, 3))
    found = umeyama(points * (1, 1, -1), points)
    assert np.linalg.det(found.R) == pytest.approx(1)


def test_without_scale_the_scale_is_one() -> None:
    true = walk(1)
    said = moved(true, 1, 1.0)
    said[:, :3, 3] *= 1.1
    assert umeyama(said[:, :3, 3], true[:, :3, 3], with_scale=False).scale == 1
    assert umeyama(np.ones((4, 3)), true[:4, :3, 3]).scale == 1


def test_errors_of_steps_by_hand() -> None:
    true = np.tile(np.eye(4), (3, 1, 1))
    true[1, 0, 3], true[2, 0, 3] = 1.0, 2.0
    said = true.copy()
    said[2, :3, :3] = Rotation.from_euler("z", 2, degrees=True).as_matrix()
    said[2, 0, 3] = 2.25
    steps = relative_errors(said, true)
    np.testing.assert_allclose(steps.translation_m, (0, 0.25), atol=1e-12)
    np.testing.assert_allclose(steps.rotation_deg, (0, 2), atol=1e-9)
    np.testing.assert_allclose(drift(said, true, 2), [0.125])
    assert path_length(true) == pytest.approx(2)
    np.testing.assert_allclose(relative_errors(said, true, scale=2.0).translation_m, (1, 1.5))


def test_half_a_turn_is_180_degrees() -> None:
    true = np.tile(np.eye(4), (2, 1, 1))
    said = true.copy()
    said[1, :3, :3] = np.diag((-1.0, -1.0, 1.0))
    assert relative_errors(said, true).rotation_deg[0] == pytest.approx(180)


@pytest.mark.parametrize("at", [12, 25, 40])
@pytest.mark.parametrize("factor", [0.2, 0.6, 1.7, 5.0])
def test_a_change_of_scale_is_found_where_it_is(at: int, factor: float) -> None:
    true = walk(3, 60)[:, :3, 3]
    steps = np.diff(true, axis=0)
    steps[at:] *= factor
    said = np.concatenate((true[:1], true[0] + np.cumsum(steps, axis=0)))
    assert scale_breaks(said, true) == [at]


def test_two_changes_are_two() -> None:
    true = walk(4, 80)[:, :3, 3]
    steps = np.diff(true, axis=0)
    steps[20:50] *= 3
    said = np.concatenate((true[:1], true[0] + np.cumsum(steps, axis=0)))
    assert scale_breaks(said, true) == [20, 50]


def test_what_is_no_break() -> None:
    true = walk(5, 60)[:, :3, 3]
    steps = np.diff(true, axis=0)
    drifting = np.concatenate((true[:1], true[0] + np.cumsum(steps * np.geomspace(1, 3, 59)[:, None], axis=0)))
    jumped = true + np.where(np.arange(60) >= 30, 2.0, 0.0)[:, None]
    shaken = true + np.random.default_rng(0).normal(0, 0.01, true.shape)
    stood = np.concatenate((true[:30], np.repeat(true[29:30], 30, axis=0), true[30:]))
    trembling = stood + np.random.default_rng(0).normal(0, 0.005, stood.shape)
    for name, said, truth in (
        ("drift", drifting, true), ("jump", jumped, true), ("noise", shaken, true), ("pause", trembling, stood),
    ):
        assert scale_breaks(said, truth) == [], name
    assert scale_breaks(true[:6], true[:6]) == [], "too short to tell"
    assert scale_breaks(np.zeros((60, 3)), true) == [], "an estimate that stands still has one scale, if a bad one"


def test_slow_frames_make_strides_too() -> None:
    true = walk(6, 400, step_m=0.02)[:, :3, 3]
    steps = np.diff(true, axis=0)
    steps[200:] *= 3
    said = np.concatenate((true[:1], true[0] + np.cumsum(steps, axis=0)))
    (found,) = scale_breaks(said, true)
    assert abs(found - 200) <= 5


def test_depth_by_hand() -> None:
    truth = np.array([[1.0, 2.0], [4.0, 0.0]], np.float32)
    depth = np.array([[1.1, 3.0], [9.0, 7.0]], np.float32)
    confident = np.array([[True, True], [False, True]])
    assert absrel(depth, truth, confident) == pytest.approx((0.1 + 0.5) / 2, rel=1e-6)
    assert within(depth, truth, confident) == 0.5
    assert confident_share(confident) == 0.75
    nothing = np.zeros((2, 2), bool)
    assert np.isnan(absrel(depth, truth, nothing))
    assert np.isnan(within(depth, truth, nothing))
    assert confident_share(nothing) == 0


def test_a_walk_of_two_is_refused() -> None:
    with pytest.raises(InputError, match="2 poses"):
        ate(walk(0)[:2], walk(0)[:2])
