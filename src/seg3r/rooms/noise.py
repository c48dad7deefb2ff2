"""Exact depth -> depth as a structured-light sensor gives it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from seg3r.kernels import rooms as kernels
from seg3r.rooms.room import NOISE_STREAM

NEAR_M, FAR_M = 0.3, 6.0
BASELINE_M = 0.04
"""From camera to projector: how wide the shadows at edges are."""
QUANTUM = 1.0 / 348.0
"""Step of 1 / z per metre: an eighth of a pixel of disparity at 580 pixels focal length and 7.5 cm baseline, the first
Kinect's (K. Konolige and P. Mihelich, Technical description of Kinect calibration, 2010)."""


def noisy_depth(
    depth: Float32[Tensor, "H W"], cosine: Float32[Tensor, "H W"], focal: float, rng: np.random.Generator
) -> Float32[Tensor, "H W"]:
    """Depth with errors and holes, metres, 0 = missing.

    Axial error: sigma = 0.0012 + 0.0019 (z - 0.4)^2 + 0.0001 / sqrt(z) theta^2 / (pi/2 - theta)^2, theta between ray
    and normal; lateral error: 0.8 pixels at 640 pixels width (both: C. Nguyen, S. Izadi, D. Lovell, 3DIMPVT 2012).
    Holes at grazing angles, where something nearer hides the projector, and on edges; a few edge pixels fly between
    near and far; quantised in disparity; 0.3 to 6 m.

    Args:
        depth: exact, 0 = none.
        cosine: of the angle between ray and surface normal.
        focal: length, pixels.
        rng: consumed in a fixed order.
    """
    z = np.ascontiguousarray(depth.numpy())
    shadow = np.empty(z.shape, np.bool_)
    kernels.projector_shadow(z, focal * BASELINE_M, shadow)
    normal = rng.standard_normal(z.shape, np.float32)
    slip = rng.standard_normal((2, *z.shape), np.float32) * np.float32(0.8 * z.shape[1] / 640)
    chance, mix = rng.random(z.shape, np.float32), rng.random(z.shape, np.float32)
    out = np.empty_like(z)
    kernels.measure(z, np.ascontiguousarray(cosine.numpy()), shadow, normal, slip, chance, mix, QUANTUM, NEAR_M, FAR_M,
                    out)
    return torch.from_numpy(out)


def frame_noise(
    depth: Float32[Tensor, "H W"], cosine: Float32[Tensor, "H W"], focal: float, seed: int, index: int
) -> Float32[Tensor, "H W"]:
    """`noisy_depth` of one frame of a walk, the same whichever frames were asked for before."""
    return noisy_depth(depth, cosine, focal, np.random.default_rng([seed, NOISE_STREAM, index]))
