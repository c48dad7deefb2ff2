"""The depth sensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.rooms import frame_noise, noisy_depth


def wall(z: float, cosine: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((120, 160), z), torch.full((120, 160), cosine)


@pytest.mark.parametrize("z", [0.8, 1.5, 2.5, 4.0])
def test_error_grows_with_range(z: float) -> None:
    """Head-on: unbiased, and as large as published plus the rounding of disparities."""
    got = noisy_depth(*wall(z), 260.0, np.random.default_rng(0)).numpy()
    error = got[got > 0] - z
    sigma = 0.0012 + 0.0019 * (z - 0.4) ** 2
    step = z * z / 348
    assert abs(error.mean()) < 0.15 * max(sigma, step)
    assert 0.8 * sigma < error.std() < 1.25 * np.hypot(sigma, step / np.sqrt(12))
    assert (got > 0).mean() > 0.99
    levels = 1 / np.unique(got[got > 0])
    assert np.abs(levels * 348 - np.round(levels * 348)).max() < 348 * 0.0006 / z**2


def test_holes_at_grazing_angles() -> None:
    share = [float((noisy_depth(*wall(2.0, c), 260.0, np.random.default_rng(1)) == 0).float().mean())
             for c in (0.9, 0.3, 0.15, 0.05)]
    assert share == sorted(share) and share[1] < 0.02 and 0.3 < share[2] < 0.9 and share[3] > 0.99


def test_range() -> None:
    for z in (0.2, 7.0):
        assert not noisy_depth(*wall(z), 260.0, np.random.default_rng(0)).any()
    assert not noisy_depth(*wall(0.0), 260.0, np.random.default_rng(0)).any()


def test_an_object_casts_a_shadow_to_its_left() -> None:
    """A box at 1 m before a wall at 3 m: the projector stands to the right."""
    depth, cosine = wall(3.0)
    depth[40:80, 60:100] = 1.0
    got = noisy_depth(depth, cosine, 260.0, np.random.default_rng(0)).numpy()
    width = 260 * 0.04 * (1 / 1.0 - 1 / 3.0)
    hole = got[45:75] == 0
    assert hole[:, 60 - int(width) : 59].mean() > 0.9 and hole[:, 20:50].mean() < 0.02
    assert hole[:, 102:130].mean() < 0.05 and hole[:, 65:95].mean() < 0.02
    flying = (got > 1.1) & (got < 2.8)
    assert 0 < flying.mean() < 0.02


def test_seeded_by_frame() -> None:
    depth, cosine = wall(2.0)
    a, b, c = (frame_noise(depth, cosine, 260.0, 5, k) for k in (3, 3, 4))
    assert torch.equal(a, b) and not torch.equal(a, c)
